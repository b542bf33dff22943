"""`graft train`: from rows to an adapter in the knowledge base, and what to do next."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_graft.cli import train_command
from langchain_graft.cli.main import main
from langchain_graft.finetune_bridge import AdapterManifest, QueryMap, ReflectionRow
from langchain_graft.finetune_bridge.training.doctor import check_loss
from langchain_graft.finetune_bridge.training.settings import settings_from_json
from langchain_graft.finetune_bridge.training.trained_adapter import (
    TrainedAdapter,
    TrainProgress,
    TrainReport,
)
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel


@pytest.fixture(autouse=True)
def _hash_embeddings(monkeypatch):
    for module in ("knowledge_base", "embedders"):
        monkeypatch.setattr(
            f"langchain_graft.knowledge_base.{module}.load_embeddings",
            lambda *_, **__: HashEmbeddings(),
        )


@pytest.fixture
def folder(tmp_path):
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings="hash")
    kb.ingest_documents(
        [
            Document(f"It is number {n}.", metadata={"source": f"s{n}", "question": f"Which w{n}?"})
            for n in range(20)
        ]
    )
    kb.close()
    return str(kb.folder)


@pytest.fixture
def trainings(monkeypatch):
    """The settings and rows of each training, which learns nothing."""
    calls = []

    def train(settings, rows, *, on_progress):
        calls.append((settings, rows))
        for step in range(settings.max_steps or 2):
            on_progress(TrainProgress(step=step + 1, steps=2, loss=1.0, seconds_left=0.0))
        u, v = np.ones((2, 64, 2), np.float32)
        run = Path(settings.out)
        QueryMap(u=u, v=v).save(run / "adapter")
        lines = [json.dumps({"step": n, "loss": 2.0 - n}) for n in (1, 2)]
        (run / "loss.jsonl").write_text("\n".join(lines), encoding="utf-8")
        report = TrainReport(
            rows=len(rows),
            held_out=0,
            steps=2,
            parameters=256,
            seconds=1.0,
            first_loss=1.0,
            last_loss=0.0,
            findings=(check_loss([1.0, 0.0]),),
        )
        manifest = AdapterManifest(
            kind="query-map", base="hash", base_digest="hash-64", side="query"
        )
        return TrainedAdapter(folder=run / "adapter", manifest=manifest, report=report)

    monkeypatch.setattr(train_command, "_train", lambda _: train)
    return calls


@pytest.fixture
def graft(capsys, folder):
    def graft(*arguments, code=0):
        assert main([*arguments, "--kb", folder, "--json"]) == code
        told = capsys.readouterr()
        return json.loads(told.out) if code == 0 else told.err

    return graft


def test_pairs_are_learned_kept_and_promoted(graft, folder, trainings):
    told = graft("train", "embeddings", "--name", "own")
    assert told["adapter"] == "own@000001"
    assert told["rows"]["rows"] == 20
    [(settings, rows)] = trainings
    assert (settings.task, settings.base) == ("embeddings", "hash")
    assert settings.out.endswith("kb/training/own")
    assert len(rows) == 18
    lines = Path(told["held_out"]).read_text("utf-8").splitlines()
    held = {json.loads(line)["documents"][0] for line in lines}
    assert len(held) == 2
    assert not held & {row.group for row in rows}
    assert told["next"] == f"graft promote own@000001 --kb {folder} --target {told['held_out']}"
    assert {one["check"]: one["ok"] for one in told["findings"]} == {
        "size": False,
        "false negatives": True,
        "loss": True,
    }
    again = graft("train", "embeddings", "--name", "own")
    assert again["adapter"] == "own@000001"
    assert [one["ref"] for one in graft("adapters", "list")] == ["own@000001"]
    gated = graft("promote", "own@000001", "--guard", told["held_out"], "--force")
    assert "guard own.held_out: ndcg@10" in gated["checked"]


def test_a_dry_run_measures_and_keeps_nothing(graft, folder, trainings, capsys):
    told = graft("train", "embeddings", "--dry-run")
    assert told["estimate"]["steps"] == 2
    assert told["estimate"]["rows"] == 16
    assert told["estimate"]["measured_steps"] == 4
    assert told["estimate"]["seconds"] >= 0
    assert "adapter" not in told
    assert graft("adapters", "list") == []
    assert not (Path(folder) / "training").exists()
    assert main(["train", "embeddings", "--kb", folder, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "peak memory" in shown
    assert " GB" in shown


def test_rows_of_a_file_and_settings_of_another(graft, trainings, tmp_path):
    rows = tmp_path / "rows.jsonl"
    row = {"query": "a?", "positive": "b", "negatives": ["It is number 3."]}
    rows.write_text(json.dumps(row), encoding="utf-8")
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"epochs": 5, "out": str(tmp_path / "run")}), encoding="utf-8")
    told = graft("train", "embeddings", "--rows", str(rows), "--settings", str(settings))
    assert told["held_out"] is None
    assert (trainings[0][0].epochs, trainings[0][0].out) == (5, str(tmp_path / "run"))
    settings.write_text('{"epoch": 5}', encoding="utf-8")
    options = ("--rows", str(rows), "--settings", str(settings))
    assert "No such settings: epoch" in graft("train", "embeddings", *options, code=2)
    settings.write_text("[", encoding="utf-8")
    assert "no JSON object" in graft("train", "embeddings", *options, code=2)
    settings.write_text('{"task": "generator"}', encoding="utf-8")
    assert "are for 'generator'" in graft("train", "embeddings", *options, code=2)
    rows.write_text('{"query": "a?"}', encoding="utf-8")
    assert "rows.jsonl, line 1" in graft("train", "embeddings", "--rows", str(rows), code=2)


def test_questions_are_generated_and_negatives_mined(graft, trainings, monkeypatch):
    def reply(prompt):
        number = prompt.split("number ")[1].split(".")[0]
        return f"Which w{number}?"

    monkeypatch.setattr(
        "langchain_graft.models.load_chat_model",
        lambda *_, **__: ScriptedChatModel(reply=reply),
    )
    told = graft("train", "embeddings", "--generate", "12", "--negatives", "2")
    assert told["rows"]["rows"] == 12
    assert told["rows"]["negatives"] > 0


def test_a_generator_learns_conversations(graft, trainings, tmp_path):
    rows = tmp_path / "rows.jsonl"
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows.write_text(json.dumps({"messages": said}), encoding="utf-8")
    assert "--base SPEC" in graft("train", "generator", "--rows", str(rows), code=2)
    assert "from conversations" in graft("train", "generator", code=2)
    assert "from pairs of answers" in graft("train", "preferences", code=2)
    told = graft("train", "generator", "--rows", str(rows), "--base", "hf:tiny")
    assert told["rows"]["kind"] == "GeneratorRow"
    assert trainings[0][0].base == "hf:tiny"


def test_a_chat_model_learns_preferences(graft, trainings, tmp_path):
    rows = tmp_path / "rows.jsonl"
    pair = {"prompt": "a?", "chosen": "b", "rejected": "c"}
    rows.write_text(json.dumps(pair), encoding="utf-8")
    told = graft("train", "preferences", "--rows", str(rows), "--base", "hf:tiny", "--dry-run")
    assert told["rows"]["kind"] == "PreferenceRow"
    assert trainings[0][0].task == "preferences"


@pytest.fixture
def judging(monkeypatch):
    """A model that asks for the number of a passage, answers with it, and finds all well."""

    def reply(prompt):
        if "Reply with one question" in prompt:
            return f"Which w{re.search('number ([0-9]+)', prompt)[1]}?"
        return "5" if "1 to 5" in prompt else "yes" if "yes or no" in prompt else "It is."

    model = ScriptedChatModel(reply=reply)
    monkeypatch.setattr("langchain_graft.models.load_chat_model", lambda *_, **__: model)
    return model


def test_self_rag_learns_a_files_rows_and_those_that_a_model_makes(
    graft, trainings, judging, tmp_path
):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"question": "2 and 2?", "retrieve": False}), encoding="utf-8")
    options = ("--rows", str(rows), "--generate", "5", "--base", "hf:tiny", "--dry-run")
    told = graft("train", "self-rag", *options)
    settings, learned = trainings[0]
    assert (settings.task, settings.learns) == ("self-rag", "generator")
    assert told["rows"]["kind"] == "ReflectionRow"
    assert learned[0] == ReflectionRow("2 and 2?", retrieve=False)
    answered = [row for row in learned if row.answer]
    assert len(answered) == 5
    assert all(
        (row.retrieve, row.relevance, row.answer) == (True, True, "It is.") for row in answered
    )
    before = len(judging.asked)
    assert graft("train", "self-rag", *options)["rows"] == told["rows"]
    assert len(judging.asked) == before  # its replies were kept


def test_self_rag_without_rows_says_what_it_needs(graft, trainings):
    assert "learns from judgements" in graft("train", "self-rag", "--base", "hf:tiny", code=2)


@pytest.mark.parametrize("task", ["embeddings", "generator", "preferences", "self-rag"])
def test_each_task_has_its_training(task):
    settings = settings_from_json({"task": task, "base": "b", "out": "o"})
    name = f"train_{task.replace('-', '_')}"
    assert train_command._train(settings).__name__ == name


def test_what_came_of_passages_without_a_question_is_told(graft, trainings, monkeypatch):
    monkeypatch.setattr(
        "langchain_graft.models.load_chat_model",
        lambda *_, **__: ScriptedChatModel(
            reply=lambda prompt: "I can not." if "number 3." in prompt else "Which w1?"
        ),
    )
    told = graft("train", "embeddings", "--generate", "20", "--dry-run")
    assert told["dropped"]["no question"] == 1
    assert sum(told["dropped"].values()) + told["rows"]["rows"] == 20


@pytest.mark.parametrize("command", [("promote", "none"), ("rollback",), ("train", "embeddings")])
def test_what_fails_closes_the_knowledge_base(graft, monkeypatch, tmp_path, command):
    closed = []
    monkeypatch.setattr(KnowledgeBase, "close", lambda kb: closed.append(kb.folder))
    wrong = ("--rows", str(tmp_path / "none.jsonl")) if command[0] == "train" else ()
    assert main([*command, *wrong, "--kb", str(tmp_path / "kb")]) != 0
    assert len(closed) == 1


def test_what_it_shows(capsys, folder, trainings, tmp_path):
    guard = tmp_path / "guard.jsonl"
    asked = {"question": "Which w3?", "documents": ["s3"]}
    guard.write_text(json.dumps(asked), encoding="utf-8")
    assert main(["train", "embeddings", "--kb", folder, "--guard", str(guard)]) == 0
    told = capsys.readouterr()
    assert "graft promote trained@000001" in told.out
    assert f"--guard {guard}" in told.out
    assert "Warning, size: 18 different questions" in told.err
    assert main(["train", "embeddings", "--kb", folder, "--name", "No!"]) == 2


def test_without_anything_to_learn_it_says_what_to_do(graft, tmp_path, capsys):
    kb = KnowledgeBase.create(tmp_path / "empty", embeddings="hash")
    kb.close()
    assert main(["train", "embeddings", "--kb", str(tmp_path / "empty")]) == 2
    assert "--generate 500" in capsys.readouterr().err
