"""The demo's loop: its parts on a small world, and what its threads tell apart."""

import json
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_graft.cli import demo_loop
from langchain_graft.cli.asking_threads import AskingThreads
from langchain_graft.cli.demo_command import examples_folder
from langchain_graft.errors import GateFailedError
from langchain_graft.evaluation.bootstrap import Interval
from langchain_graft.evaluation.datasets import load_questions
from langchain_graft.finetune_bridge.training.row_files import read_rows
from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
from langchain_graft.finetune_bridge.training.settings import EmbeddingSettings
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.knowledge_base.gate import GateFinding
from langchain_graft.testing import HashEmbeddings

WORDS = [f"word{n}" for n in range(12)]


@pytest.fixture
def kb(tmp_path):
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings=HashEmbeddings())
    kb.ingest_documents([Document(f"{w} is here.", metadata={"source": w}) for w in WORDS])
    yield kb
    kb.close()


def test_the_rows_are_of_the_example_documents():
    rows = read_rows(examples_folder() / demo_loop.ROWS, EmbeddingRow)
    assert len(rows) > 200
    corpus = examples_folder() / "corpus"
    assert all((corpus / row.group).is_file() for row in rows)
    judged = {one.question for one in load_questions(examples_folder() / demo_loop.QUESTIONS)}
    assert not judged & {row.query for row in rows}


def test_the_settings_are_settings():
    given = json.loads((examples_folder() / demo_loop.SETTINGS).read_text(encoding="utf-8"))
    EmbeddingSettings.from_json({"base": "b", "out": "o", **given})


def test_no_document_is_learned_and_held_out(kb):
    rows = [EmbeddingRow(f"Where is {w} {n}?", f"{w}", (), w) for w in WORDS for n in range(2)]
    learned, path = demo_loop.split(kb, rows)
    held = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    documents = {one["documents"][0] for one in held}
    assert documents
    assert not documents & {row.group for row in learned}
    assert len(learned) + len(held) == len(rows)


def test_threads_are_answered_and_what_they_got_is_told_apart(kb):
    asking = AskingThreads(kb, WORDS)
    with asking:
        for _ in range(3):
            assert asking.wait()
    rankings = asking.rankings()
    told = asking.summary({0: rankings})
    assert (told["failed"], told["mixed"]) == (0, 0)
    assert told["by_release"] == {"0": told["answers"]}
    assert told["answers"] >= 3
    others = {question: [("elsewhere", 0.0)] for question in WORDS}
    assert asking.summary({1: others})["mixed"] == told["answers"]


BEFORE = [("a", 0.9), ("b", 0.8), ("c", 0.7)]
AFTER = [("b", 0.95), ("d", 0.8), ("a", 0.6)]


@pytest.mark.parametrize(
    ("answer", "of"),
    [
        (BEFORE, "0"),
        (AFTER, "1"),
        ([("a", 0.901), ("b", 0.799), ("c", 0.7)], "0"),  # rounded otherwise
        ([("a", 0.9), ("b", 0.8), ("e", 0.7)], "0"),  # as near as the last one
        ([("b", 0.9), ("a", 0.8), ("c", 0.7)], "mixed"),
        ([("a", 0.9), ("d", 0.8), ("c", 0.7)], "mixed"),
        (BEFORE[:2], "mixed"),
    ],
)
def test_an_answer_is_of_one_release_or_of_none(kb, answer, of):
    asking = AskingThreads(kb, ["?"])
    asking.answers = [("?", answer)]
    told = asking.summary({0: {"?": BEFORE}, 1: {"?": AFTER}})
    assert {"mixed": told["mixed"], **told["by_release"]}[of] == 1


def test_what_fails_is_counted(kb, monkeypatch):
    asking = AskingThreads(kb, WORDS, threads=1)

    def broken(*_, **__):
        msg = "no index"
        raise RuntimeError(msg)

    monkeypatch.setattr("langchain_graft.knowledge_base.live.LiveIndex.search_many", broken)
    with asking:
        assert asking.wait()
    assert asking.summary({})["failed"] >= 1
    assert "no index" in asking.failures[0]


FINDING = GateFinding(
    role="target",
    name="held-out",
    metric="ndcg@10",
    before=0.5,
    after=0.75,
    difference=Interval(0.25, 0.1, 0.4),
    questions=9,
    ok=True,
)


@pytest.mark.parametrize("passes", [True, False])
def test_what_the_gate_says_is_kept_and_shown(kb, tmp_path, monkeypatch, capsys, passes):
    def create_gate(kb, *, on_finding, **_):
        on_finding(FINDING)

    def promote(self, ref, **_):
        if not passes:
            msg = "not better"
            raise GateFailedError(msg)

    monkeypatch.setattr("langchain_graft.knowledge_base.gate.create_gate", create_gate)
    monkeypatch.setattr(KnowledgeBase, "promote", promote)
    asking = AskingThreads(kb, WORDS)
    told = demo_loop.promote(kb, "demo@000001", asking, target=Path(), guard=Path())
    assert told["refused"] == ("" if passes else "not better")
    assert told["gate"][0]["difference"] == {"mean": 0.25, "low": 0.1, "high": 0.4}
    assert demo_loop.roll_back(kb, 0, _Saying()) == 0
    told["threads"] = asking.summary({0: asking.rankings()})
    demo_loop.show(told, _Saying())
    assert "+0.250" in capsys.readouterr().out


class _Saying:
    def print(self, *_, **__):
        """Nothing."""
