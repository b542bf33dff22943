"""`graft ingest --graph`: what it asks the model, what it tells, where the graph goes."""

import json
import re

import pytest

from langchain_graft.cli.main import main
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

FACT = re.compile(r"(\w+) founded (\w+)\.")
ESTIMATE = re.compile(r"The graph takes (\d+) calls, some \d+ tokens read and \d+ written, about")


@pytest.fixture
def model():
    def reply(prompt):
        facts = FACT.findall(prompt.rpartition("TAUGHT_AT")[2])
        if "Nobody" in str(facts):
            msg = "the model is gone"
            raise OSError(msg)
        return "\n".join(f"{a} | Person | FOUNDED | {b} | Company" for a, b in facts)

    return ScriptedChatModel(reply=reply)


@pytest.fixture
def ingest(tmp_path, documents, model, monkeypatch, capsys):
    """`ingest(...)` runs `graft ingest` and gives its exit code, and what it printed."""
    monkeypatch.setattr(
        "langchain_graft.knowledge_base.knowledge_base.load_embeddings",
        lambda *_, **__: HashEmbeddings(),
    )
    monkeypatch.setattr("langchain_graft.models.load_chat_model", lambda *_, **__: model)

    def run(*arguments):
        code = main(["ingest", "--kb", str(tmp_path / "made"), *map(str, arguments)])
        return code, capsys.readouterr()

    return run


@pytest.fixture
def four(documents, write):
    for n in range(4):
        write(f"{n}.md", f"# {n}\n\nJobs{n} founded Apple{n}. This is text number {n}.")
    return documents


def test_it_ingests_tells_what_the_graph_takes_and_builds_it(ingest, four, model, tmp_path, capsys):
    code, told = ingest(four, "--graph", "--json")
    report = json.loads(told.out)
    assert (code, report["added"]) == (0, 4)
    graph = report["graph"]
    assert (graph["extracted"], graph["kept"], graph["relationships"]) == (4, 0, 4)
    assert ESTIMATE.findall(told.err) == ["2"]  # two were read to measure it
    assert main(["graph", "status", "--kb", str(tmp_path / "made"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["relationships"] == {"FOUNDED": 4}
    code, told = ingest("--graph")
    assert (code, len(model.asked)) == (0, 4)
    assert "0 passages read, 4 before" in " ".join(told.out.split())
    assert not ESTIMATE.search(told.err)


def test_a_dry_run_measures_and_builds_nothing(ingest, four, model, tmp_path):
    code, told = ingest(four, "--graph", "--dry-run", "--json")
    estimate = json.loads(told.out)["graph"]
    assert (code, estimate["calls"], estimate["measured"], len(model.asked)) == (0, 2, 2, 2)
    assert not (tmp_path / "made/graph.sqlite").exists()
    code, told = ingest("--graph", "--dry-run")
    assert "The graph would take 0 calls" in " ".join(told.out.split())
    code, told = ingest("--graph", "--json")
    assert json.loads(told.out)["graph"]["kept"] == 4
    assert len(model.asked) == 4


def test_what_fails_is_told_and_tried_again(ingest, four, write, model):
    write("4.md", "# 4\n\nNobody founded Nothing. This is text number 4.")
    code, told = ingest(four, "--graph")
    assert code == 3
    assert "1 could not be read for the graph" in told.out
    assert "the model is gone" in " ".join(told.out.split())
    write("4.md", "# 4\n\nGates founded Microsoft. This is text number 4.")
    code, told = ingest(four, "--graph", "--json")
    assert (code, json.loads(told.out)["graph"]["relationships"]) == (0, 5)


def test_a_schema_keeps_out_what_it_does_not_name(ingest, four, tmp_path):
    schema = {"labels": ["Person", "Company"], "relationships": {"OWNS": [["Person", "Company"]]}}
    (tmp_path / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    code, told = ingest(four, "--graph", "--graph-schema", tmp_path / "schema.json", "--json")
    graph = json.loads(told.out)["graph"]
    assert (code, graph["extracted"], graph["relationships"], graph["dropped"]) == (0, 4, 0, 4)


def test_a_neo4j_that_is_not_there_is_told_before_the_model_is_asked(ingest, four, model):
    code, told = ingest(four, "--graph", "--graph-store", "bolt://127.0.0.1:1")
    assert code == 1
    assert "graft neo4j start" in told.err
    assert model.asked == []


def test_a_dry_run_without_a_graph_is_wrong_use(ingest, four, tmp_path):
    code, told = ingest(four, "--dry-run")
    assert code == 2
    assert "--graph" in told.err
    assert not (tmp_path / "made").exists()
