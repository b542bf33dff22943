"""Bytes to text: every encoding that people have, and what is no text."""

import codecs
import hashlib

import pytest

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.readers.text import clean, decode

CHINESE = "苹果公司于一九七六年成立，他们的第一台电脑是在车库里做的。这是大家都知道的故事。"
FRENCH = "Le café est fermé à l'été, où les élèves étaient déjà très fatigués. Ça va être long."
ENGLISH = "The garage was cold, and the soldering iron was hot."


@pytest.mark.parametrize("text", [CHINESE, FRENCH, ENGLISH])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_hold_every_text(text, encoding):
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_either_byte_order_with_a_mark(mark, encoding):
    assert decode(mark + CHINESE.encode(encoding)) == CHINESE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(encoding):
    assert decode(ENGLISH.encode(encoding)) == ENGLISH


def test_gbk():
    assert decode(CHINESE.encode("gbk")) == CHINESE


def test_characters_that_only_gb18030_has():
    text = CHINESE + "㐀𠀀"
    assert decode(text.encode("gb18030")) == text


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
@pytest.mark.parametrize(
    "text", [FRENCH, "Jag är från Göteborg och åker till Örebro.", "Ein Büro in Köln ist groß."]
)
def test_western_bytes(text, encoding):
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Příliš žluťoučký kůň úpěl ďábelské ódy, a všichni lidé jsou si rovni.", "cp1250"),
        ("Все люди рождаются свободными и равными в своем достоинстве и правах.", "cp1251"),
        ("すべての人間は、生まれながらにして自由であり、かつ平等である。", "shift_jis"),
        (
            "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，應以兄弟關係互相對待。",
            "big5",
        ),
    ],
)
def test_old_encodings_of_other_countries(text, encoding):
    assert decode(text.encode(encoding)) == text


def test_random_bytes_are_no_text():
    with pytest.raises(SourceError, match="no text"):
        decode(hashlib.shake_128(b"noise").digest(5000))


def test_a_picture_is_no_text():
    with pytest.raises(SourceError, match=r"no text|does not fit"):
        decode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06" + bytes(range(256)))


def test_a_damaged_utf_16_file_says_where():
    with pytest.raises(SourceError, match=r"utf-16, but byte \d+ does not fit. Save it as UTF-8"):
        decode(codecs.BOM_UTF16_LE + ENGLISH.encode("utf-16-le") + b"\x00\xd8")


def test_control_characters_in_utf_8_are_no_text():
    with pytest.raises(SourceError, match="Remove or rename it"):
        decode(b"MZ\x01\x02\x03\x04 program \x05\x06")


def test_clean_composes_and_removes_what_nobody_sees():
    assert clean("cafe\u0301\u200b\u00ad\ufeff") == "café"
    assert clean("a\r\nb\rc  \nd") == "a\nb\nc\nd"
    assert clean("a\u00a0b\x01c") == "a b c"
    assert clean("a\n\n\n\n\nb\f") == "a\n\nb"


def test_clean_drops_half_characters_that_no_file_can_hold():
    text = clean("a\ud83d half \udc00 emoji 😀")
    assert text.encode("utf-8").decode() == "a half  emoji 😀"


@pytest.mark.parametrize("at", [0, 300, 301])
def test_a_damaged_byte_costs_one_character(at):
    data = bytearray((CHINESE * 20).encode())
    data[at] = 0xFF
    first, last = (CHINESE * 20)[: at // 3], (CHINESE * 20)[at // 3 + 1 :]
    assert decode(bytes(data)).replace("\ufffd", "") == first + last


def test_a_file_cut_within_a_character():
    assert decode((CHINESE * 20).encode()[:-1]) == (CHINESE * 20)[:-1] + "\ufffd"


def test_western_bytes_among_many_letters_are_no_damaged_utf_8():
    text = ENGLISH * 100 + " Café!"
    assert decode(text.encode("latin-1")) == text
