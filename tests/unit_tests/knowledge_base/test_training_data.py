"""Rows put together from a knowledge base, and what becomes of the rest."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate

from langchain_graft.errors import CypherError, GraphError
from langchain_graft.finetune_bridge.training.rows import EmbeddingRow, distinct_rows
from langchain_graft.graph.cypher.guard import check_read_only
from langchain_graft.knowledge_base.prompts import QUESTION_PROMPT
from langchain_graft.knowledge_base.training_data import (
    generate_rows,
    mine_negatives,
    rows_from_pairs,
    text2cypher_rows,
)
from langchain_graft.testing import ScriptedChatModel

PASSAGES = {
    "altair": "The Altair was a kit computer of 1975.",
    "apple": "Apple was founded by two friends in a garage.",
    "basic": "BASIC was a language for beginners at school.",
    "short": "Too short.",
}
REPLIES = {
    "Altair": "Question: What was the Altair kit computer?\nBecause it says so.",
    "Apple": '"Who founded Apple in a garage?"',
    "BASIC": "The passage says nothing.",
}


def reply(prompt):
    return next(text for word, text in REPLIES.items() if word in prompt)


@pytest.fixture
def kb(kb):
    kb.ingest_documents([Document(text, metadata={"source": of}) for of, text in PASSAGES.items()])
    return kb


def test_pairs_are_rows(kb):
    assert rows_from_pairs(kb) == []
    pair = Document("By a kit.", metadata={"source": "faq", "question": "How was it sold?"})
    kb.ingest_documents([pair])
    assert rows_from_pairs(kb) == [EmbeddingRow("How was it sold?", "By a kit.", (), "faq")]


def test_a_question_is_kept_that_finds_its_passage_again(kb):
    told = []
    made = generate_rows(
        kb, ScriptedChatModel(reply=reply), on_progress=lambda *of: told.append(of), k=1
    )
    assert made.rows == [
        EmbeddingRow("What was the Altair kit computer?", PASSAGES["altair"], (), "altair"),
        EmbeddingRow("Who founded Apple in a garage?", PASSAGES["apple"], (), "apple"),
    ]
    assert made.dropped == {"no question": 1}
    assert told == [("ask", 3, 3)]


def test_one_that_finds_another_passage_is_dropped(kb, monkeypatch):
    monkeypatch.setitem(REPLIES, "BASIC", "Who founded Apple?")
    made = generate_rows(kb, ScriptedChatModel(reply=reply), k=1)
    assert len(made.rows) == 2
    assert made.dropped == {"not found again": 1}


@pytest.mark.parametrize(
    ("question", "is_kept"),
    [
        ("What does the passage say of Apple?", False),
        ("Who founded Apple, according to this short text?", False),
        ("这篇文章讲什么？", False),
        ("文中提到的苹果公司是谁创立的？", False),
        ("Who wrote texts in Apple's garage?", True),
        ("苹果公司的文化是什么？", True),
    ],
)
def test_one_that_points_at_the_passage_is_none(kb, question, is_kept):
    """Who asks has not seen it."""
    kb.ingest_documents(
        [
            Document(
                "苹果公司的文化，写在很多很多的文件里，人人都能看到。", metadata={"source": "zh"}
            )
        ]
    )
    made = generate_rows(kb, ScriptedChatModel(reply=lambda _: question), k=9)
    assert bool(made.rows) is is_kept
    assert ("no question" in made.dropped) is not is_kept


def test_one_that_is_asked_twice_counts_once(kb, monkeypatch):
    kb.ingest_documents([Document(PASSAGES["apple"] + " Once.", metadata={"source": "again"})])
    made = generate_rows(kb, ScriptedChatModel(reply=reply), k=5)
    assert len({row.query for row in made.rows}) == 2
    assert len(made.rows) == 3  # the same question of two passages are two rows


def test_replies_are_kept_when_it_is_stopped(kb):
    with pytest.raises(AssertionError, match="stop"):
        generate_rows(kb, ScriptedChatModel(reply=_stopping()), most=3)
    asked = []
    again = ScriptedChatModel(reply=lambda prompt: asked.append(prompt) or reply(prompt))
    assert len(generate_rows(kb, again).rows) == 2
    assert len(asked) < 3


def _stopping():
    said = []

    def one_reply(prompt):
        said.append(prompt)
        assert len(said) < 3, "stop"
        return reply(prompt)

    return one_reply


def test_what_is_killed_goes_on(kb):
    words = [f"Word{n} stands for number {n}." for n in range(20)]
    kb.ingest_documents(
        [Document(text, metadata={"source": str(n)}) for n, text in enumerate(words)]
    )
    killed = Path(__file__).with_name("killed_rows.py")
    done = subprocess.run([sys.executable, killed, kb.folder, "15"], check=False)
    assert done.returncode == -signal.SIGKILL
    model = ScriptedChatModel(reply=lambda prompt: prompt.split("\n")[-3].split(" ")[0] + "?")
    rows = generate_rows(kb, model).rows
    assert len(model.asked) <= 23 - 15 + 8  # eight were asked at once when it was killed
    assert {row.group for row in rows} >= {str(n) for n in range(20)}
    assert len(distinct_rows(rows)) == len(rows)
    again = ScriptedChatModel(reply=lambda prompt: "")
    assert generate_rows(kb, again).rows == rows
    assert again.asked == []


def test_most_chunks_are_spread(kb):
    model = ScriptedChatModel(reply=reply)
    assert len(generate_rows(kb, model, most=1).rows) == len(model.asked) == 1


def test_another_prompt_takes_the_passage(kb):
    with pytest.raises(ValueError, match="passage"):
        generate_rows(kb, ScriptedChatModel(), prompt=ChatPromptTemplate.from_template("{text}"))
    [system, human] = QUESTION_PROMPT.invoke({"passage": "A kit."}).to_messages()
    assert "in the passage's language, and nothing else." in system.text
    assert human.text == "Passage:\nA kit.\n\nQuestion:"


def test_negatives_look_right_and_are_not(kb):
    texts = ["alpha beta gamma delta", "alpha beta gamma", "alpha beta", "alpha"]
    others = [Document(text, metadata={"source": f"s{n}"}) for n, text in enumerate(texts)]
    kb.ingest_documents(others)
    row = EmbeddingRow("alpha beta gamma", "alpha beta gamma delta", (), "s0")
    made = mine_negatives(kb, [row], depth=8, margin=0.99)
    assert made.rows[0].negatives[:2] == ("alpha beta", "alpha")  # the equal one scores higher
    assert "alpha beta gamma" not in made.rows[0].negatives
    also = EmbeddingRow("Alpha  beta gamma", "alpha beta")
    [first, second] = mine_negatives(kb, [row, also], depth=8, margin=0.99, count=1).rows
    assert first.negatives == ("alpha",)
    assert second.negatives == ("alpha",)
    assert mine_negatives(kb, [row], depth=8, margin=0.3).rows[0].negatives[:1] != ("alpha",)


def test_a_row_whose_passage_is_not_found_has_none(kb):
    rows = [EmbeddingRow("Altair", "not in the knowledge base")]
    made = mine_negatives(kb, rows)
    assert made.rows == rows
    assert made.dropped == {"without negatives": 1}
    for wrong in ({"margin": 0}, {"count": 0}, {"depth": 3}):
        with pytest.raises(ValueError, match="margin is"):
            mine_negatives(kb, rows, **wrong)


def test_statements_are_kept_that_read_and_find_rows():
    answers = {"MATCH (m:Movie) RETURN m.title": [1], "MATCH (n:None) RETURN n": []}

    def run(cypher):
        if cypher not in answers:
            msg = "no such property"
            raise GraphError(msg)
        return answers[cypher]

    made = text2cypher_rows(
        [
            ("Which movies?", "MATCH (m:Movie)\nRETURN m.title"),
            ("which  movies?", "MATCH (m:Movie) RETURN m.title"),
            ("None?", "MATCH (n:None) RETURN n"),
            ("Fails?", "MATCH (n) RETURN n.x"),
            ("Gone?", "MATCH (n) DETACH DELETE n"),
            ("Broken?", "MATCH (("),
        ],
        messages=lambda question: [{"role": "user", "content": question}],
        check=check_read_only,
        run=run,
        group=lambda question: "movies",
    )
    [row] = made.rows
    assert [one["content"] for one in row.messages] == [
        "Which movies?",
        "MATCH (m:Movie) RETURN m.title",
    ]
    assert row.group == "movies"
    assert made.dropped == {
        "asked twice": 1,
        "finds nothing": 1,
        "fails": 1,
        "does not parse or only read": 2,
    }
    assert issubclass(CypherError, GraphError)
