import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_graft.errors import CypherRefusedError
from langchain_graft.graph.cypher.guard import (
    READ_FUNCTIONS,
    READ_PROCEDURES,
    check_read_only,
    with_limit,
)

CORPUS = Path(__file__).parents[3] / "attacks"


def rows(name):
    lines = (CORPUS / name).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


ATTACKS = [row for row in rows("cypher.jsonl") if "cypher" in row]
HARMLESS = rows("harmless.jsonl")
WORDS = sorted({word for row in [*ATTACKS, *HARMLESS] for word in row["cypher"][:500].split()})


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda row: f"{row['id']} {row['class']}")
def test_attacks_are_refused_and_values_are_not(attack):
    if attack["expect"] == "harmless":
        check_read_only(attack["cypher"])
        return
    with pytest.raises(CypherRefusedError) as refused:
        check_read_only(attack["cypher"])
    assert refused.value.reason


@pytest.mark.parametrize("row", HARMLESS, ids=lambda row: row["cypher"][:60])
def test_what_reads_is_let_through(row):
    check_read_only(row["cypher"])


def test_there_are_enough_of_both():
    assert len(rows("cypher.jsonl")) >= 150
    assert len(HARMLESS) >= 150


@settings(max_examples=300, deadline=None)
@given(st.text() | st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join))
def test_nothing_but_a_refusal_is_raised(cypher):
    with suppress(CypherRefusedError):
        check_read_only(cypher)
    limited = with_limit(cypher, 5)
    assert limited == cypher or "LIMIT 5" in limited


WRITES = ["CREATE (:X)", "SET n.x = 1", "DELETE n", "DETACH DELETE n", "REMOVE n.x", "MERGE (n)"]


@given(
    st.sampled_from([row["cypher"] for row in HARMLESS if "//" not in row["cypher"]]),
    st.sampled_from(WRITES),
    st.data(),
)
def test_a_write_put_between_any_two_words_is_refused(cypher, write, data):
    quoted = any(sign in cypher for sign in "'\"`") or "/*" in cypher
    words = cypher.split(" ")
    if quoted:
        return
    place = data.draw(st.integers(0, len(words)))
    with pytest.raises(CypherRefusedError):
        check_read_only(" ".join([*words[:place], write, *words[place:]]))


def test_a_caller_may_allow_more_by_name():
    asked = "CALL apoc.meta.schema() YIELD value RETURN apoc.text.clean(value.x) AS x"
    with pytest.raises(CypherRefusedError, match=r"procedure 'apoc\.meta\.schema'"):
        check_read_only(asked)
    with pytest.raises(CypherRefusedError, match=r"function 'apoc\.text\.clean'"):
        check_read_only(asked, procedures=READ_PROCEDURES | {"apoc.meta.schema"})
    check_read_only(
        asked,
        procedures=READ_PROCEDURES | {"apoc.meta.schema"},
        functions=READ_FUNCTIONS | {"apoc.text.clean"},
    )


def test_the_reason_names_the_word_and_what_to_do():
    with pytest.raises(CypherRefusedError, match="'Merge' does more than read"):
        check_read_only("Merge (n) RETURN n")
    with pytest.raises(CypherRefusedError, match="'HAVING' in line 2"):
        check_read_only("MATCH (n) RETURN n\nHAVING n.x > 1")


@pytest.mark.parametrize(
    ("cypher", "expected"),
    [
        ("MATCH (n) RETURN n", "MATCH (n) RETURN n LIMIT 7"),
        ("MATCH (n) RETURN n; // all", "MATCH (n) RETURN n LIMIT 7; // all"),
        ("MATCH (n) RETURN n // LIMIT 3", "MATCH (n) RETURN n LIMIT 7 // LIMIT 3"),
        ("MATCH (n) RETURN n LIMIT 1000", "MATCH (n) RETURN n LIMIT 7"),
        ("MATCH (n) RETURN n LIMIT 1000;", "MATCH (n) RETURN n LIMIT 7;"),
        ("MATCH (n) RETURN n LIMIT 3", "MATCH (n) RETURN n LIMIT 3"),
        ("MATCH (n) RETURN n LIMIT $p", "MATCH (n) RETURN n LIMIT $p"),
        ("MATCH (n) RETURN n LIMIT 10 + 10", "MATCH (n) RETURN n LIMIT 10 + 10"),
        (
            "MATCH (n) RETURN n ORDER BY n.x SKIP 9",
            "MATCH (n) RETURN n ORDER BY n.x SKIP 9 LIMIT 7",
        ),
        ("MATCH (n) RETURN n OFFSET 9 LIMIT 99", "MATCH (n) RETURN n OFFSET 9 LIMIT 7"),
        (
            "MATCH (n) WITH n LIMIT 99 RETURN n.limit AS limit",
            "MATCH (n) WITH n LIMIT 99 RETURN n.limit AS limit LIMIT 7",
        ),
        (
            "CALL () { MATCH (n) RETURN n LIMIT 99 } RETURN n",
            "CALL () { MATCH (n) RETURN n LIMIT 99 } RETURN n LIMIT 7",
        ),
        (
            "MATCH (n) RETURN COLLECT { MATCH (m) RETURN m LIMIT 99 } AS x",
            "MATCH (n) RETURN COLLECT { MATCH (m) RETURN m LIMIT 99 } AS x LIMIT 7",
        ),
        ("MATCH (limit) RETURN limit", "MATCH (limit) RETURN limit LIMIT 7"),
        ("RETURN 1 AS x UNION RETURN 2 AS x", "RETURN 1 AS x UNION RETURN 2 AS x"),
        ("CALL db.labels()", "CALL db.labels()"),
        ("MATCH (n) FINISH", "MATCH (n) FINISH"),
        ("RETURN 1 AS x NEXT RETURN x", "RETURN 1 AS x NEXT RETURN x"),
        ("MATCH (n) DELETE n", "MATCH (n) DELETE n"),
        ("MATCH (n RETURN", "MATCH (n RETURN"),
    ],
)
def test_a_limit_is_put_where_it_is_sure(cypher, expected):
    assert with_limit(cypher, 7) == expected


def test_a_limit_is_one_or_more():
    with pytest.raises(ValueError, match="1 or more, not 0"):
        with_limit("RETURN 1", 0)
