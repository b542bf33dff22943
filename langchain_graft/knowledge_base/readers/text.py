"""Bytes to text: the encoding found, what is no text refused."""

from __future__ import annotations

import codecs
import re
import unicodedata

from langchain_graft.errors import MissingExtraError, SourceError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 1 << 16
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MOST_UNPRINTABLE = 0.002
_MOST_DAMAGED = 10
_MOST_CHAOS = 0.1
_FREQUENT_HAN = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日"
)


def decode(data: bytes) -> str:
    """The text of a file: UTF-8, UTF-16, UTF-32, GB18030, or what its bytes look like.

    Raises:
        SourceError: It is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data, encoding)
    if wide := _wide_encoding(data):
        return _decoded(data, wide)
    try:
        return _checked(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _damaged_utf8(data) or _decoded(data, _chinese_encoding(data) or _guess(data))


def clean(text: str) -> str:
    """The text as it is indexed: composed characters, one kind of line end, nothing invisible.

    Half a character (a surrogate that stands alone), which no file can hold, is left out too.
    """
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(
        r"[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ufffe\ud800-\udfff]", "", text
    )
    text = _UNPRINTABLE.sub(" ", text.replace("\u00a0", " ").replace("\f", "\n"))
    text = re.sub(r"[ \t]+(?=\n)", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return _checked(data.decode(encoding))
    except UnicodeDecodeError as error:
        msg = (
            f"it looks like {encoding}, but byte {error.start} does not fit. "
            "Save it as UTF-8, or remove it if it is no text"
        )
        raise SourceError(msg) from error


def _damaged_utf8(data: bytes) -> str | None:
    """UTF-8 in which a few bytes are damaged; None: there are too many, or little but damage."""
    text = data.decode("utf-8", "replace")
    damaged = len(re.findall("\ufffd+", text))
    sound = sum(character > "\x7f" and character != "\ufffd" for character in text)
    few = min(_MOST_DAMAGED, 1 + len(text) // 1000)
    return _checked(text) if damaged <= few and 10 * damaged <= sound else None


def _checked(text: str) -> str:
    sample = text[:_SAMPLE_BYTES]
    if len(_UNPRINTABLE.findall(sample)) > _MOST_UNPRINTABLE * len(sample):
        msg = (
            "it is no text (a program, picture or archive with a text's name?). Remove or rename it"
        )
        raise SourceError(msg)
    return text


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of Latin text is zero."""
    sample = data[:_SAMPLE_BYTES]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        every_second = sample[first::2]
        if every_second and every_second.count(0) > 0.4 * len(every_second):
            return encoding
    if b"\0" in sample:
        msg = (
            "it is no text (a program, picture or archive with a text's name?). Remove or rename it"
        )
        raise SourceError(msg)
    return None


def _chinese_encoding(data: bytes) -> str | None:
    sample = data[:_SAMPLE_BYTES].decode("gb18030", errors="ignore")
    foreign = [character for character in sample if ord(character) > 127]  # noqa: PLR2004
    frequent = sum(character in _FREQUENT_HAN for character in foreign)
    return "gb18030" if foreign and frequent > 0.08 * len(foreign) else None


def _guess(data: bytes) -> str:
    try:
        from charset_normalizer import from_bytes  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("documents") from error
    likely = from_bytes(data[:_SAMPLE_BYTES])
    best = likely.best()
    if best is None:
        msg = "its encoding is not recognised, or it is no text. Save it as UTF-8"
        raise SourceError(msg)
    fitting = {match.encoding for match in likely if match.coherence >= best.coherence}
    if best.chaos > _MOST_CHAOS or "cp1252" in fitting:  # in doubt, the most frequent one
        return "cp1252"
    return str(best.encoding)
