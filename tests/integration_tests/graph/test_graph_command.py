"""`graft graph` and `graft ingest --graph-store` with a real Neo4j."""

import json

import pytest

from langchain_graft.cli.main import main
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

pytestmark = pytest.mark.neo4j

FOUNDERS = {"Jobs": "Apple", "Gates": "Microsoft", "Perot": "NeXT"}


@pytest.fixture
def server(neo4j_servers, empty_server, monkeypatch):
    server = neo4j_servers.get("2026.09.0")
    empty_server(server)
    monkeypatch.setenv("NEO4J_USERNAME", server.user)
    monkeypatch.setenv("NEO4J_PASSWORD", server.password)
    return server


@pytest.fixture
def graft(capsys):
    """`graft(...)` runs the command and gives the JSON that it printed."""

    def run(*arguments):
        code = main([*map(str, arguments), "--json"])
        told = capsys.readouterr()
        assert code == 0, told.err
        return json.loads(told.out)

    return run


@pytest.fixture
def model(monkeypatch):
    def reply(prompt):
        passage = prompt.rpartition("TAUGHT_AT")[2]
        pairs = [(a, b) for a, b in FOUNDERS.items() if f"{a} founded {b}" in passage]
        return "\n".join(f"{a} | Person | FOUNDED | {b} | Company" for a, b in pairs)

    model = ScriptedChatModel(reply=reply)
    monkeypatch.setattr("langchain_graft.models.load_chat_model", lambda *_, **__: model)
    monkeypatch.setattr(
        "langchain_graft.knowledge_base.knowledge_base.load_embeddings",
        lambda *_, **__: HashEmbeddings(),
    )
    return model


def test_a_graph_goes_into_neo4j_and_comes_back(graft, server, model, documents, write, tmp_path):
    for person, company in FOUNDERS.items():
        write(f"{person}.md", f"# {person}\n\n{person} founded {company}. It made computers.")
    ingest = ("ingest", "--kb", tmp_path / "made", "--graph", "--graph-store", server.uri)
    assert graft(*ingest, documents)["graph"]["added"] == 3
    assert graft(*ingest)["graph"]["added"] == 0
    assert len(model.asked) == 3
    assert not (tmp_path / "made/graph.sqlite").exists()

    there = ("--graph", server.uri)
    counts = {"nodes": {"Company": 3, "Person": 3}, "relationships": {"FOUNDED": 3}}
    assert graft("graph", "status", *there) == counts
    [founded] = graft("graph", "schema", *there)["relationships"]
    assert founded["endpoints"] == [["Person", "Company"]]

    exported = graft("graph", "export", *there, "--out", tmp_path / "graph.jsonl")
    assert (exported["nodes"], exported["relationships"]) == (6, 3)
    rows = [json.loads(line) for line in (tmp_path / "graph.jsonl").read_text().splitlines()]
    assert {row["name"] for row in rows if row["kind"] == "node"} >= {"Jobs", "NeXT"}

    shown = graft("graph", "show", "Perot", *there, "--out", tmp_path / "perot.html")
    assert (shown["shown"], shown["nodes"], shown["relationships"]) == ("Perot", 2, 1)
    assert "NeXT" in (tmp_path / "perot.html").read_text()

    copy = tmp_path / "copy.sqlite"
    assert graft("graph", "copy", *there, "--to", copy)["copied"] == 3
    assert graft("graph", "status", "--graph", copy) == counts


def test_a_copy_into_neo4j_says_the_same_and_is_done_once(graft, server, kb, write):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    kb.ingest(kb.folder.parent / "documents")
    said = "Jobs | Person | FOUNDED | Apple | Company"
    kb.build_graph(ScriptedChatModel(reply=lambda _: said))
    to = ("graph", "copy", "--kb", kb.folder, "--to", server.uri)
    assert graft(*to) == {"copied": 1, "to": server.uri}
    assert graft(*to)["copied"] == 1
    own = graft("graph", "status", "--kb", kb.folder)
    assert graft("graph", "status", "--graph", server.uri) == own


@pytest.mark.parametrize("command", [("status",), ("schema",), ("export", "--out", "x.jsonl")])
def test_a_wrong_password_is_told(server, monkeypatch, capsys, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEO4J_PASSWORD", "not it")
    assert main(["graph", *command, "--graph", server.uri]) == 1
    assert "NEO4J_PASSWORD" in capsys.readouterr().err
    assert not (tmp_path / "x.jsonl").exists()
