import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.errors import CypherRefusedError
from langchain_graft.graph.cypher.tokens import significant, tokenize

WORDS = r"""MATCH n ' " ` \ \u0027 \u00e9 /* */ // ( ) { } [ ] $ $p 1 .. .5 1e3 名 -> | ; ."""
PIECES = st.sampled_from(WORDS.split()) | st.sampled_from("\n \u200b")


def kinds(cypher):
    return [(token.kind, token.value) for token in significant(tokenize(cypher))]


@given(st.text() | st.lists(PIECES).map("".join))
def test_the_texts_together_are_the_statement_or_it_is_refused(cypher):
    try:
        tokens = tokenize(cypher)
    except CypherRefusedError:
        return
    assert "".join(token.text for token in tokens) == cypher
    assert all(cypher[token.start : token.end] == token.text for token in tokens)


@pytest.mark.parametrize(
    ("cypher", "expected"),
    [
        ("match n", [("word", "MATCH"), ("word", "N")]),
        ("'it\\'s // no'", [("string", "it's // no")]),
        ('"a\\\\"', [("string", "a\\")]),
        ("'\\u4f01'", [("string", "企")]),
        ("`a``b`", [("name", "a`b")]),
        ("$p $`q r`", [("parameter", "p"), ("parameter", "q r")]),
        ("1..3", [("number", "1"), ("symbol", ".."), ("number", "3")]),
        ("n.5", [("word", "N"), ("number", ".5")]),
        ("1.5e-3 0xFF", [("number", "1.5e-3"), ("number", "0xFF")]),
        ("a /* b */ c // d", [("word", "A"), ("word", "C")]),
        ("\\u4f01业", [("word", "企业")]),
        ("ſet ｄｅｌｅｔｅ", [("word", "SET"), ("word", "DELETE")]),
        ("⟨–", [("symbol", "<"), ("symbol", "-")]),
        ("1SET", [("number", "1"), ("word", "SET")]),
    ],
)
def test_what_a_text_means(cypher, expected):
    assert kinds(cypher) == expected


@pytest.mark.parametrize(
    "cypher",
    [
        "'open",
        '"open',
        "`open",
        "/* open",
        "'\\u0027'",
        "\\u0043REATE",
        "a\u200bb",
        "a\u0000",
        "/* /* */",
        "// a\u2028CREATE (n)",
        "// \\u000a",
        "a \\ b",
    ],
)
def test_where_readers_differ_it_is_refused(cypher):
    with pytest.raises(CypherRefusedError):
        tokenize(cypher)
