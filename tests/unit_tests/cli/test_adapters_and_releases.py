"""`graft adapters`, `releases`, `promote`, `rollback`, `--adapter`."""

import json

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_graft.cli.main import main
from langchain_graft.finetune_bridge import QueryMap
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel


@pytest.fixture(autouse=True)
def _hash_embeddings(monkeypatch):
    """`--embeddings hash` is the embedder without weights."""
    for module in ("knowledge_base", "embedders"):
        monkeypatch.setattr(
            f"langchain_graft.knowledge_base.{module}.load_embeddings",
            lambda *_, **__: HashEmbeddings(),
        )


@pytest.fixture
def folder(tmp_path):
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings="hash")
    kb.ingest_documents([Document("The Altair was a kit.", metadata={"source": "a"})])
    kb.close()
    return str(kb.folder)


@pytest.fixture
def query_map(tmp_path):
    """A folder with a map of queries' vectors, another one each time."""

    def make(seed):
        random = np.random.default_rng(seed)
        u, v = random.normal(size=(2, 64, 2)).astype(np.float32)
        QueryMap(u=u, v=v).save(tmp_path / f"map{seed}")
        return str(tmp_path / f"map{seed}")

    return make


@pytest.fixture
def graft(capsys, folder):
    """Runs the command on the knowledge base; its JSON."""

    def graft(*arguments, code=0):
        assert main([*arguments, "--kb", folder, "--json"]) == code
        told = capsys.readouterr()
        return json.loads(told.out) if code == 0 else told.err

    return graft


@pytest.fixture
def imported(graft, query_map):
    for seed in (1, 2):
        told = graft("adapters", "import", query_map(seed), "near", "--kind", "query-map")
        assert told == {"imported": f"near@{seed:06}"}


@pytest.mark.usefixtures("imported")
def test_adapters(graft, folder, capsys, tmp_path):
    first, second = graft("adapters", "list")
    assert (first["ref"], first["kind"], first["base"]) == ("near@000001", "query-map", "hash")
    shown = graft("adapters", "show", "near@000002")
    assert (shown["base_digest"], shown["side"]) == ("hash-64", "query")
    assert {one["served"] for one in shown["servability"]} == {True, False}
    assert graft("adapters", "remove", "near@000001") == {"removed": "near@000001"}
    assert [one["ref"] for one in graft("adapters", "list")] == [second["ref"]]
    assert "No adapter 'near@000001'" in graft("adapters", "show", "near@000001", code=2)
    assert "without an adapter" in graft("adapters", "show", "base", code=2)
    for action in (["list"], ["show", "near@000002"]):
        assert main(["adapters", *action, "--kb", folder]) == 0
        assert "near@000002" in capsys.readouterr().out


@pytest.mark.usefixtures("imported")
def test_promote_and_roll_back(graft, folder, capsys):
    assert [one["serves"] for one in graft("releases", "list")] == [True]
    release = graft("promote", "near@000001", "--why", "closer questions")
    assert (release["number"], release["embeddings_adapter"]) == (1, "near@000001")
    assert graft("promote", "near@000002")["former"] == 1
    serving = [(one["number"], one["serves"]) for one in graft("releases", "list")]
    assert serving == [(2, True), (1, False), (0, False)]
    assert graft("releases", "show", "1") == release
    assert graft("releases", "show")["number"] == 2
    assert "near@000001' can not be removed" in graft("adapters", "remove", "near@000001", code=1)
    assert graft("status")["release"] == 2
    for command in (["releases", "list"], ["releases", "show"], ["status"]):
        assert main([*command, "--kb", folder]) == 0
        assert "near@000002" in " ".join(capsys.readouterr().out.split())
    assert graft("rollback")["number"] == 1
    assert graft("rollback")["number"] == 0
    assert "--drop-alias" in graft("adapters", "remove", "near@000001", code=1)
    removed = graft("adapters", "remove", "near@000001", "--drop-alias")
    assert removed == {"removed": "near@000001"}
    assert "none to go back to" in graft("rollback", code=1)
    assert "No release 9" in graft("releases", "show", "9", code=1)
    assert "No adapter 'far'" in graft("promote", "far", code=2)


def test_what_is_wrong_with_an_import_is_told(graft, tmp_path):
    assert "was made for: base='hf:NAME'" in graft("adapters", "import", ".", "legal", code=2)
    (tmp_path / "empty").mkdir()
    told = graft("adapters", "import", str(tmp_path / "empty"), "x", "--kind", "embeddings", code=1)
    assert "empty" in told


@pytest.mark.usefixtures("imported")
def test_export(graft, tmp_path):
    target = str(tmp_path / "out")
    assert "--served-name" in graft(
        "adapters", "export", "near@000001", target, "--as", "vllm", code=2
    )
    assert graft("adapters", "export", "near@000001", target)["to"] == target
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()


def test_ask_with_an_adapter(graft, monkeypatch):
    asked = []

    def chat_model(self, spec, *, adapter, **settings):
        asked.append((spec, adapter))
        return ScriptedChatModel(script=["It was a kit [1]."])

    monkeypatch.setattr(KnowledgeBase, "chat_model", chat_model)
    assert graft("ask", "What was the Altair?")["answer"] == "It was a kit [1]."
    graft("ask", "What was the Altair?", "--model", "hf:tiny", "--adapter", "base")
    assert asked == [("qwen2.5-coder-1.5b", None), ("hf:tiny", "base")]
    assert "No adapter 'legal'" in graft("ask", "What?", "--adapter", "legal", code=2)


def test_an_adapter_needs_a_knowledge_base(capsys):
    graph = ["--chain", "text2cypher", "--graph", "bolt://localhost:1"]
    assert main(["ask", "Who?", *graph, "--adapter", "legal"]) == 2
    assert "say which knowledge base has it" in capsys.readouterr().err


@pytest.mark.usefixtures("imported")
def test_a_gate_that_fails_says_why_and_changes_nothing(graft, tmp_path):
    questions = tmp_path / "asked.jsonl"
    rows = [{"question": "The Altair was a kit.", "documents": ["a"]}] * 3
    questions.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    target = ("--target", str(questions))
    told = graft("promote", "near@000001", *target, code=1)
    assert "target asked: ndcg@10 1.0000 -> 1.0000" in told
    assert "not better" in told
    assert [one["number"] for one in graft("releases", "list")] == [0]
    release = graft("promote", "near@000001", *target, "--force")
    assert release["forced"]
    assert "not better" in release["checked"]
    assert "guard asked" in graft("promote", "near@000002", "--guard", str(questions))["checked"]
    assert "No such file" in graft("promote", "near@000001", "--guard", "none", code=2)
