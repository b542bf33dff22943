"""Chinese characters: which they are, and the two scripts that they are written in."""

import re
from functools import cache

HAN_CLASS = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Chinese characters, for within a pattern's brackets."""
KANA_CLASS = r"\u3040-\u30ff"
"""Japanese ones, for within a pattern's brackets."""
HAN = re.compile(rf"[{HAN_CLASS}]+")
"""A run of Chinese characters."""
_BLOCKS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF))


def simplified(text: str) -> str:
    """The text in simplified characters, one for one, so that places in it stay.

    As it is where `opencc` is not installed (the extras `words` and `graph` bring it).
    """
    return text.translate(_table("t2s")) if HAN.search(text) else text


def traditional(text: str) -> str:
    """The text in traditional characters, each the one that stands for it most often.

    As it is where `opencc` is not installed.
    """
    return text.translate(_table("s2t")) if HAN.search(text) else text


@cache
def _table(configuration: str) -> dict[int, str]:
    """OpenCC's characters; not its phrases, by which a name would differ from place to place."""
    try:
        from opencc import OpenCC
    except ImportError:
        return {}
    characters = [chr(code) for first, last in _BLOCKS for code in range(first, last + 1)]
    others = OpenCC(configuration).convert("\n".join(characters)).split("\n")
    pairs = zip(characters, others, strict=True)
    return {ord(one): other for one, other in pairs if one != other and len(other) == 1}
