"""Rows: what they refuse, how they are told apart, and that a split leaks nothing."""

import json

import pytest

from langchain_graft.errors import TrainingDataError
from langchain_graft.finetune_bridge.training.row_files import read_rows, write_rows
from langchain_graft.finetune_bridge.training.rows import (
    EmbeddingRow,
    GeneratorRow,
    PreferenceRow,
    digest_of_rows,
    distinct_rows,
    question_of_row,
    split_rows,
    template_of,
)


def chat(question, answer="yes", **others):
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return GeneratorRow(messages, **others)


ROWS = [
    EmbeddingRow("what is a kit?", "A kit is a box.", ("A cat is an animal.",), "a"),
    EmbeddingRow("谁发明了它？", "它是他发明的。"),
]


@pytest.mark.parametrize(
    "rows", [ROWS, [chat("hello", weight=2.0)], [PreferenceRow("hi", "Hello!", "What?")]]
)
def test_rows_come_back_from_a_file(tmp_path, rows):
    write_rows(path := tmp_path / "rows.jsonl", rows)
    assert read_rows(path, type(rows[0])) == rows
    assert digest_of_rows(read_rows(path, type(rows[0]))) == digest_of_rows(rows)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"query": "a"', "line 2: no JSON"),
        ("[1]", "no JSON object"),
        ('{"query": "a"}', "lacks 'positive'"),
        ('{"query": "a", "positive": "b", "negative": ["c"]}', "has ['negative']"),
        ('{"query": "a", "positive": " "}', "positive is ' ', expected a text"),
        ('{"query": "a", "positive": 3}', "positive is 3, expected a text"),
        ('{"query": "a", "positive": "b", "negatives": "c"}', "expected a list of texts"),
        ('{"query": "a", "positive": "b", "negatives": ["b"]}', "among the negatives"),
        ('{"query": "a", "positive": "\\ud800"}', "half a character"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path, line, told):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "a", "positive": "b"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(TrainingDataError) as caught:
        read_rows(path, EmbeddingRow)
    assert told in str(caught.value)
    assert "rows.jsonl, line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "holds no rows"), (b"\xff\xfe\n", "behind line 0")]
)
def test_a_file_that_holds_no_rows(tmp_path, content, told):
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(TrainingDataError, match=told):
        read_rows(tmp_path / "rows.jsonl", EmbeddingRow)
    with pytest.raises(TrainingDataError, match="No such file"):
        read_rows(tmp_path / "none.jsonl", EmbeddingRow)


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "expected a list"),
        ([{"role": "user", "content": "a"}], "expected the assistant's"),
        ([{"role": "bot", "content": "a"}], "expected a role"),
        ([{"role": "user"}], "expected a role"),
        ([{"role": "user", "content": "a", "name": "b"}], "expected a role"),
    ],
)
def test_a_conversation_ends_with_the_assistant(messages, told):
    with pytest.raises(ValueError, match=told):
        GeneratorRow(messages)


def test_what_else_rows_refuse():
    with pytest.raises(ValueError, match="weight is 0"):
        chat("a", weight=0)
    with pytest.raises(ValueError, match="the same"):
        PreferenceRow("a", "b", "b")


def test_a_row_counts_once():
    rows = [EmbeddingRow("A  kit?", "Yes"), EmbeddingRow("a kit?", "yes"), EmbeddingRow("b", "c")]
    assert distinct_rows(rows) == [rows[0], rows[2]]
    assert digest_of_rows(rows) != digest_of_rows(rows[::-1])


def test_question_of_row():
    assert question_of_row(ROWS[0]) == "what is a kit?"
    assert question_of_row(chat("hello")) == "hello"
    assert question_of_row(PreferenceRow("hi", "a", "b")) == "hi"


def test_template_of():
    one = template_of("Who directed The Matrix in 1999?")
    assert one == template_of("Who directed Lord of the Rings in 2001?") == "who directed … in 0?"
    assert template_of('How old is "heat"?') == template_of("How old is “ran”?")
    assert one != template_of("Who wrote The Matrix in 1999?")


def test_a_split_shares_no_question_passage_or_group():
    rows = [EmbeddingRow(f"q{n % 30}", f"p{n % 20}", (), f"g{n // 4}") for n in range(40)]
    rows += [EmbeddingRow(f"lone {n}", f"passage {n}") for n in range(60)]
    learned, held = split_rows(rows, share=0.2, seed=3)
    assert len(learned) + len(held) == 100
    assert 15 <= len(held) <= 20
    for of in (lambda r: r.query, lambda r: r.positive, lambda r: r.group or r.query):
        assert not {of(row) for row in learned} & {of(row) for row in held}
    assert split_rows(rows, share=0.2, seed=3) == (learned, held)
    assert split_rows(rows, share=0.2, seed=4) != (learned, held)


def test_a_split_by_template_or_by_what_is_given():
    names = ("Heat", "Ran", "Alien", "Up", "Tenet")
    rows = [chat(f"{verb} {name}?") for verb in ("Who made", "When was") for name in names]
    learned, held = split_rows(rows, by="template", share=0.5)
    assert len(learned) == len(held) == 5
    templates = [{template_of(question_of_row(row)) for row in part} for part in (learned, held)]
    assert not templates[0] & templates[1]
    _, held = split_rows(rows, by=lambda row: "Heat" in json.dumps(row.messages), share=0.3)
    assert len(held) == 2


def test_a_split_that_can_not_be_is_told():
    rows = [EmbeddingRow(f"q{n}", "the same passage") for n in range(10)]
    with pytest.raises(ValueError, match="the smallest part of what hangs together has 10 rows"):
        split_rows(rows)
    with pytest.raises(ValueError, match="between 0 and 1"):
        split_rows(rows, share=1.0)
