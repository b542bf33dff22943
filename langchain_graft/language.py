"""The language of a question, by rule."""

import re

_HAN = re.compile(r"[\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ]+")
_ASKS_IN_CHINESE = re.compile(r"谁|什么|哪|何|几|多少|怎|为啥|吗|呢|请|介绍|说说")
_ASKS_IN_ENGLISH = re.compile(
    r"\b(?:what|who|whom|whose|when|where|which|why|how|is|are|was|were|did|does|do|can|tell)\b",
    re.IGNORECASE,
)
_ASKING = 3


def language_of(text: str) -> str:
    """The language that a question asks to be answered in: "zh" or "en".

    Foreign names stand in questions of both languages: characters are counted against words, and
    the words that make a question count more.
    """
    if _KANA.search(text):
        return "en"
    han, words = len(_HAN.findall(text)), len(_LATIN_WORD.findall(text))
    chinese = han + _ASKING * len(_ASKS_IN_CHINESE.findall(text))
    english = words + _ASKING * len(_ASKS_IN_ENGLISH.findall(text))
    return "zh" if han and chinese >= english else "en"
