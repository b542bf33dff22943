"""`graft eval`: which searches it measures, what they ask a model, what calibration keeps."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

from langchain_graft.cli.main import main
from langchain_graft.finetune_bridge import AdapterManifest, QueryMap
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.retrievers import Weakness
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

DOCUMENTS = {
    "apple.md": "Apple was founded by Steve Jobs and Steve Wozniak in April 1976.",
    "altair.md": "The Altair 8800 was sold as a kit by MITS in Albuquerque.",
    "四通.md": "四通打字机由王缉志设计。",
}
QUESTIONS = {
    "Who founded Apple in 1976?": "apple.md",
    "Which kit did MITS sell?": "altair.md",
    "四通打字机是谁设计的？": "四通.md",
}
NEVER, ALWAYS = Weakness(overlap=None), Weakness(overlap=1.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    (folder / "documents").mkdir()
    for name, text in DOCUMENTS.items():
        (folder / "documents" / name).write_text(text, encoding="utf-8")
    rows = [
        {"id": f"q{n}", "question": question, "answers": ["Jobs"], "documents": [document]}
        for n, (question, document) in enumerate(QUESTIONS.items())
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    _write_beir(folder / "beir", rows)
    KnowledgeBase.create(folder / "kb", embeddings=HashEmbeddings()).ingest(folder / "documents")
    return folder


def _write_beir(folder, rows):
    (folder / "qrels").mkdir(parents=True)
    queries = [{"_id": row["id"], "text": row["question"]} for row in rows]
    lines = [json.dumps(query, ensure_ascii=False) for query in queries]
    (folder / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    judged = [f"{row['id']}\t{row['documents'][0]}\t1" for row in rows]
    qrels = "\n".join(["query-id\tcorpus-id\tscore", *judged])
    (folder / "qrels/train.tsv").write_text(qrels, encoding="utf-8")


@pytest.fixture
def kb(folder):
    kb = KnowledgeBase.open(folder / "kb", embeddings=HashEmbeddings())
    yield kb
    kb.close()
    (folder / "kb/thresholds.json").unlink(missing_ok=True)


def reply(prompt):
    return "Which company is it?" if "search queries" in prompt else "Steve Jobs [1]."


@pytest.fixture
def model():
    return ScriptedChatModel(reply=reply)


@pytest.fixture
def evaluate(folder, kb, model, monkeypatch, capsys):
    """`evaluate(...)` runs `graft eval` and gives what it printed."""
    command = "langchain_graft.cli.eval_command"
    monkeypatch.setattr(f"{command}.open_filled", lambda *_: kb)
    monkeypatch.setattr(f"{command}.load_model", lambda *_: model)

    def run(*arguments, by=("--questions", "questions.jsonl")):
        monkeypatch.chdir(folder)
        assert main(["eval", "--kb", "kb", "--no-cache", *by, *arguments]) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("retriever", ["vector", "bm25", "hybrid"])
def test_plain_searches_are_measured_without_a_model(evaluate, model, retriever):
    figures = json.loads(evaluate("--retrieval-only", "--retriever", retriever, "--json"))
    assert (figures["questions"], figures["retriever"]) == (3, retriever)
    assert figures["metrics"]["recall@5"]["mean"] == 1.0
    assert model.asked == []


def test_an_adapter_that_does_not_serve_is_measured(evaluate, kb):
    eye = np.eye(64, dtype=np.float32)
    with tempfile.TemporaryDirectory() as place:
        QueryMap(u=-2 * eye, v=eye).save(Path(place) / "map")  # the farthest is the nearest
        manifest = AdapterManifest(
            kind="query-map", base="hash", base_digest="hash-64", side="query"
        )
        ref = kb.adapters.register(Path(place) / "map", "turned", manifest=manifest)
    plain = json.loads(evaluate("--retrieval-only", "--json"))
    told = json.loads(evaluate("--retrieval-only", "--adapter", "turned@000001", "--json"))
    assert "adapter" not in plain
    assert told["adapter"] == str(ref)
    assert told["metrics"]["mrr@5"]["mean"] < plain["metrics"]["mrr@5"]["mean"]


def test_the_search_that_goes_with_a_chain_is_measured(evaluate):
    told = json.loads(evaluate("--retrieval-only", "--chain", "rag-fusion", "--json"))
    assert told["retriever"] == "hybrid"
    assert json.loads(evaluate("--retrieval-only", "--json"))["retriever"] == "vector"


@pytest.mark.parametrize(
    ("retriever", "kept", "rewritten"),
    [
        ("fusion", None, 3),
        ("fusion", NEVER, 3),
        ("adaptive", NEVER, 0),
        ("adaptive", ALWAYS, 3),
    ],
)
def test_how_many_questions_a_model_rewrites(evaluate, kb, model, retriever, kept, rewritten):
    if kept:
        kb.keep_weakness(kept)
    figures = json.loads(evaluate("--retrieval-only", "--retriever", retriever, "--json"))
    assert figures["retriever"] == retriever
    assert figures["metrics"]["recall@5"]["mean"] == 1.0
    assert len(model.asked) == rewritten


def test_a_chain_that_rewrites_does_not_do_so_twice(evaluate, model):
    evaluate("--retriever", "fusion", "--chain", "rag-fusion", "--limit", "1")
    said = ["rewrite" if "search queries" in one[0].text else "answer" for one in model.asked]
    assert said == ["rewrite", "rewrite", "answer"]  # the search alone, then the chain


def test_what_is_weak_in_hybrid_search_says_nothing_of_vector_search(evaluate, kb, model):
    kb.keep_weakness(Weakness(overlap=0.2))
    evaluate("--retriever", "vector", "--chain", "rag-fusion", "--limit", "1")
    said = ["rewrite" if "search queries" in one[0].text else "answer" for one in model.asked]
    assert said == ["rewrite", "answer"]


def test_answers_are_measured_and_written(evaluate, folder):
    told = evaluate("--rows", "rows.jsonl", "--limit", "2")
    assert "2 questions" in told
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == ["Steve Jobs [1]."] * 2


BEIR = ("--beir", "beir", "--split", "train")


@pytest.mark.parametrize("by", [("--questions", "questions.jsonl"), BEIR], ids=["own", "BEIR"])
def test_calibration_measures_both_ways_and_keeps_its_thresholds(evaluate, kb, model, by):
    assert kb.weakness is None
    figures = json.loads(evaluate("--calibrate", "--json", by=by))
    assert figures["questions"] == len(model.asked) == 3
    assert (
        list(figures["ndcg@10"]) == list(figures["rewritten"]) == ["hybrid", "fusion", "adaptive"]
    )
    assert [figures["rewritten"][name] for name in ("hybrid", "fusion")] == [0, 1]
    assert figures["ndcg@10"]["hybrid"]["mean"] == 1.0
    assert kb.weakness == Weakness(**figures["thresholds"])


def test_calibration_shows_what_it_chose(evaluate):
    told = evaluate("--calibrate", "--limit", "2", by=BEIR)
    assert "2 questions, on which it was chosen" in told
    assert all(name in told for name in ("hybrid", "fusion", "adaptive", "overlap", "not asked"))


def test_a_beir_folder_is_measured(evaluate, model):
    figures = json.loads(evaluate("--retriever", "bm25", "--limit", "2", "--json", by=BEIR))
    assert (figures["questions"], figures["retriever"]) == (2, "bm25")
    assert figures["metrics"]["ndcg@10"]["mean"] == 1.0
    assert model.asked == []


def test_questions_without_judged_documents_can_not_calibrate(
    folder, kb, model, monkeypatch, capsys
):
    (folder / "bare.jsonl").write_text('{"question": "Who?"}', encoding="utf-8")
    command = "langchain_graft.cli.eval_command"
    monkeypatch.setattr(f"{command}.open_filled", lambda *_: kb)
    monkeypatch.setattr(f"{command}.load_model", lambda *_: model)
    asked = ["--questions", str(folder / "bare.jsonl"), "--no-cache", "--calibrate"]
    assert main(["eval", "--kb", "kb", *asked]) == 2
    assert "Calibration needs" in capsys.readouterr().err
    assert kb.weakness is None
