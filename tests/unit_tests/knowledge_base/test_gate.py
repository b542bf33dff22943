"""The gate: what passes, what does not, and that nothing has changed then."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_graft.errors import EvaluationDataError, GateFailedError
from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
from langchain_graft.knowledge_base.gate import GateSettings, create_gate, judge
from langchain_graft.knowledge_base.gate_questions import load_gate_questions
from langchain_graft.knowledge_base.promotion import Candidate
from langchain_graft.knowledge_base.release import Release
from langchain_graft.testing import ScriptedChatModel

_spec = spec_from_file_location("fake_adapters", Path(__file__).with_name("fake_adapters.py"))
fakes = module_from_spec(_spec)
_spec.loader.exec_module(fakes)

WORDS = [f"w{n:02}x" for n in range(24)]
PATIENT = GateSettings(slack_seconds=5.0)
HASTY = GateSettings(most_slower=0.0, slack_seconds=0.0)


class TranslatingEmbeddings(fakes.TurnedEmbeddings):
    """`near@1` knows that "qN" means "wN", `near@2` takes all words for one."""

    def embed_query(self, text):
        if self.turn == 1:
            text = text.replace("q", "w")
        if self.turn == 2:
            text = "one" if "animal" not in text else text
        return fakes.HashEmbeddings.embed_query(self, text)

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def kb(kb, monkeypatch):
    store = fakes.FakeStore()
    fakes.patch(store, monkeypatch.setattr)
    monkeypatch.setattr(
        "langchain_graft.finetune_bridge.serving.embeddings.AdapterEmbeddings",
        TranslatingEmbeddings,
    )
    kb.ingest_documents([Document(word, metadata={"source": word}) for word in WORDS])
    return kb


@pytest.fixture
def target(tmp_path):
    """Questions in words that only a trained embedder knows."""
    path = tmp_path / "asked.jsonl"
    rows = ({"question": word.replace("w", "q"), "documents": [word]} for word in WORDS)
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture
def guard(tmp_path):
    """A BEIR folder of other questions, whose documents are not in the knowledge base."""
    return beir(tmp_path / "plain", [f"plain{n}" for n in range(20)])


def beir(folder, words):
    folder.mkdir()
    lines = {
        "corpus.jsonl": [{"_id": f"d{n}", "title": "", "text": w} for n, w in enumerate(words)],
        "queries.jsonl": [{"_id": f"q{n}", "text": w} for n, w in enumerate(words)],
    }
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    judged = "".join(f"q{n}\td{n}\t1\n" for n in range(len(words)))
    (folder / "qrels.dev.tsv").write_text("query\tdocument\tscore\n" + judged, encoding="utf-8")
    return folder


def test_what_is_better_passes_and_is_told(kb, target, guard):
    told, found = [], []
    gate = create_gate(
        kb,
        target=[target],
        guard=[guard],
        settings=PATIENT,
        on_finding=found.append,
        on_progress=lambda *of: told.append(of),
    )
    release = kb.promote("near@000001", gate=gate)
    assert "target asked: ndcg@10 0." in release.checked
    assert "-> 1.0000" in release.checked
    assert "guard plain: ndcg@10 " in release.checked
    assert "24 questions" in release.checked
    assert "a search takes" in release.checked
    assert told[-1] == ("embed", 20, 20)
    assert [(one.role, one.name, one.ok) for one in found] == [
        ("target", "asked", True),
        ("guard", "plain", True),
    ]
    assert not release.forced
    fakes.check(kb)


def test_what_is_no_better_or_forgets_leaves_all_as_it_was(kb, target, guard):
    before = (kb.folder / "kb.json").read_bytes()
    gate = create_gate(kb, target=[target], guard=[guard], settings=PATIENT)
    with pytest.raises(GateFailedError) as caught:
        kb.promote("near@000002", gate=gate)
    assert "not better" in str(caught.value)
    assert "guard plain" in str(caught.value)
    assert ": worse" in str(caught.value)
    assert (kb.folder / "kb.json").read_bytes() == before
    assert kb.release.number == 0
    fakes.check(kb)
    release = kb.promote("near@000002", gate=gate, force=True)
    assert release.forced
    assert release.checked.startswith("failed: ")
    assert kb.releases()[0] == release


def test_what_is_too_slow_does_not_pass(kb, target):
    with pytest.raises(GateFailedError, match=r"a search takes .* at most 0\.0 ms"):
        kb.promote("near@000001", gate=create_gate(kb, target=[target], settings=HASTY))


def test_without_a_gate_the_release_says_so(kb):
    assert kb.promote("near@000001").checked == "not checked"


def test_a_folder_that_was_ingested_is_searched_in_the_knowledge_base(kb, tmp_path):
    folder = beir(tmp_path / "own", WORDS)
    assert load_gate_questions(folder, kb.folder).corpus
    kb.ingest_beir(folder)
    assert not load_gate_questions(folder, kb.folder).corpus


def test_an_empty_knowledge_base_has_nothing_to_compare(kb, guard):
    gate = create_gate(kb, guard=[guard])
    with pytest.raises(GateFailedError, match="holds no documents"):
        gate(Candidate(kb.release, kb.release, None))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"question": "a", "documents": ["elsewhere"]}', "None of the 1 documents"),
        ('{"question": "a"}', "no questions with documents or answers"),
        ('{"ask": "a"}', "'question' is missing"),
    ],
)
def test_a_set_that_can_not_be_used_is_told(kb, tmp_path, content, told):
    (tmp_path / "bad.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(EvaluationDataError, match=told):
        create_gate(kb, target=[tmp_path / "bad.jsonl"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationDataError, match="has none of"):
        create_gate(kb, target=[tmp_path / "empty"])
    with pytest.raises(ValueError, match="needs questions"):
        create_gate(kb)


def test_a_chat_model_is_judged_by_its_answers(kb, tmp_path, monkeypatch):
    answers = {"base": "I see a cat [1].", "legal@000001": "blue [1]"}
    asked = []

    def chat_model(self, spec, *, adapter, **_):
        asked.append((spec, adapter))
        return ScriptedChatModel(reply=lambda _: answers[adapter])

    monkeypatch.setattr(type(kb), "chat_model", chat_model)
    path = tmp_path / "answers.jsonl"
    path.write_text('{"question": "w01x?", "answers": ["blue"]}', encoding="utf-8")
    release = Release(
        number=1,
        embeddings=None,
        embeddings_digest="",
        generation=1,
        generator="hf:tiny",
        generator_adapter="legal@000001",
    )
    gate = create_gate(
        kb, target=[path], measure=lambda model, of: dict.fromkeys(of.answers, _score(model))
    )
    assert "score 0.0000 -> 1.0000" in gate(Candidate(release, kb.release, None))
    assert asked == [("hf:tiny", "base"), ("hf:tiny", "legal@000001")]
    by_f1 = create_gate(kb, target=[path])
    assert "-> 1.0000" in by_f1(Candidate(release, kb.release, None))
    with pytest.raises(GateFailedError, match="names no documents"):
        kb.promote(AdapterRef("near", 1), gate=by_f1)


def _score(model):
    return float(model.invoke("?").text.startswith("blue"))


@pytest.mark.parametrize(
    ("role", "after", "ok"),
    [
        ("target", 0.60, True),
        ("target", 0.50, False),
        ("guard", 0.50, True),
        ("guard", 0.4951, True),
        ("guard", 0.4949, False),
    ],
)
def test_judge(role, after, ok):
    finding = judge(role, "x", [0.5] * 9, [after] * 9)
    assert finding.ok is ok
    assert f"{role} x: ndcg@10 0.5000 -> {after:.4f}" in finding.told


def test_a_target_needs_its_whole_interval_above_zero():
    noisy = judge("target", "x", [0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0])
    assert noisy.difference.mean > 0
    assert not noisy.ok


def test_settings_are_checked():
    with pytest.raises(ValueError, match="most_worse is -1"):
        GateSettings(most_worse=-1)
