"""Tokens to text: whole characters, and nothing from a stop string on."""

import pytest

from langchain_graft.models.text_stream import TextStream


def pieces(tokens, *stop):
    """What comes out, token by token and at the end, when tokens are bytes."""
    stream = TextStream(lambda ids: b"".join(ids).decode(errors="replace"), stop)
    return [stream.push(token) for token in tokens] + [stream.finish()], stream.stopped


def test_a_character_comes_when_it_is_whole():
    bytes_ = [bytes([byte]) for byte in "a苹🙂".encode()]
    assert pieces(bytes_)[0] == ["a", "", "", "苹", "", "", "", "🙂", ""]


def test_tokens_that_end_within_a_character():
    text = "苹果".encode()
    assert pieces([text[:4], text[4:]])[0] == ["", "苹果", ""]


def test_bytes_that_are_no_character_are_not_held_back_for_ever():
    out, _ = pieces([b"\xff"] * 9)
    assert out[:4] == ["", "", "", "\ufffd" * 4]
    assert "".join(out) == "\ufffd" * 9


def test_an_unfinished_character_is_told_at_the_end():
    assert pieces([b"a", b"\xe8"])[0] == ["a", "", "\ufffd"]


def test_blanks_between_words_are_kept():
    """A decoder that drops the first token's blank, as those of sentencepiece do."""
    stream = TextStream(lambda ids: "".join(ids).removeprefix(" "))
    assert [stream.push(token) for token in (" The", " Lisa", "s")] == ["The", " Lisa", "s"]


@pytest.mark.parametrize(
    ("tokens", "stop", "expected"),
    [
        ([b"one END two"], ["END"], "one "),
        ([b"one E", b"N", b"D two"], ["END"], "one "),
        ([b"one E", b"N", b"ERGY"], ["END"], "one ENERGY"),
        ([b"EEN", b"END"], ["END"], "EEN"),
        ([b"a b", b"c"], ["c", "b"], "a "),
        ([b"ab", b"cd"], ["cd", "bcd"], "a"),
        ([b"one EN"], ["END"], "one EN"),
        (["问。答".encode()[:4], "问。答".encode()[4:]], ["。"], "问"),
        ([b"abc"], [], "abc"),
        ([b"abc"], [""], "abc"),
    ],
)
def test_the_text_ends_before_a_stop_string(tokens, stop, expected):
    out, stopped = pieces(tokens, *stop)
    assert "".join(out) == expected
    whole = b"".join(tokens).decode()
    assert stopped == any(text and text in whole for text in stop)


def test_nothing_comes_behind_a_stop_string():
    out, _ = pieces([b"a.", b"b", b"c"], ".")
    assert out == ["a", "", "", ""]


def test_only_what_may_become_a_stop_string_is_held_back():
    assert pieces([b"so", b"\n", b"\n\nQ"], "\n\n\n")[0] == ["so", "", "", ""]
    assert pieces([b"so", b"\n", b"on"], "\n\n\n")[0] == ["so", "", "\non", ""]
