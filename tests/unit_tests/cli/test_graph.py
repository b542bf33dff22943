"""`graft graph` on a graph in a file."""

import json
from functools import partial

import pytest
from langchain_core.documents import Document

from langchain_graft.cli.main import DONE_IN_PART, main
from langchain_graft.graph import (
    GraphDocument,
    Mention,
    Node,
    Relationship,
    node_id,
    whole_graph,
)
from langchain_graft.graph.embedded_store import EmbeddedGraphStore

TEXT = "史蒂夫·乔布斯（Steve Jobs）创办了NeXT。"


def graph_document(number=0):
    said = (Mention(chunk_id=f"c{number}", start=0, end=len(TEXT), quote=TEXT),)
    jobs = Node(id=node_id("Person", "乔布斯"), label="Person", name="乔布斯", mentions=said)
    other = f"NeXT {number}"
    company = Node(id=node_id("Company", other), label="Company", name=other, mentions=said)
    founded = Relationship(source=jobs.id, target=company.id, type="FOUNDED", mentions=said)
    chunk = Document(id=f"c{number}", page_content=TEXT, metadata={"source_id": f"{number}.md"})
    return GraphDocument(nodes=(jobs, company), relationships=(founded,), source=chunk)


@pytest.fixture
def folder(tmp_path):
    store = EmbeddedGraphStore(tmp_path / "graph.sqlite")
    store.add([graph_document(n) for n in range(3)])
    store.close()
    return tmp_path


def graft(capsys, *arguments):
    code = main(["graph", *map(str, arguments), "--json"])
    assert code == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("where", ["--kb", "--graph"])
def test_status_counts_by_type(folder, capsys, where):
    told = graft(capsys, "status", where, folder)
    assert told == {"nodes": {"Company": 3, "Person": 1}, "relationships": {"FOUNDED": 3}}


def test_schema_says_who_points_at_whom(folder, capsys):
    told = graft(capsys, "schema", "--kb", folder)
    assert told["relationships"][0]["endpoints"] == [["Person", "Company"]]


def test_tables_are_for_people(folder, capsys):
    assert main(["graph", "schema", "--kb", str(folder)]) == 0
    assert "(Person)->(Company)" in capsys.readouterr().out
    assert main(["graph", "status", "--kb", str(folder)]) == 0
    assert "FOUNDED" in capsys.readouterr().out


def test_export_writes_each_thing_once_with_all_its_mentions(folder, capsys, tmp_path):
    told = graft(capsys, "export", "--kb", folder, "--out", tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (told["nodes"], told["relationships"]) == (4, 3)
    [jobs] = [row for row in rows if row.get("name") == "乔布斯"]
    assert [mention["chunk_id"] for mention in jobs["mentions"]] == ["c0", "c1", "c2"]


def test_an_export_that_is_cut_says_so(folder, capsys, tmp_path, monkeypatch):
    cut = partial(whole_graph.whole_graph, limit=1)
    monkeypatch.setattr(whole_graph, "whole_graph", cut)
    asked = ["graph", "export", "--kb", str(folder), "--out", str(tmp_path / "out.jsonl")]
    assert main(asked) == DONE_IN_PART
    assert "left out" in capsys.readouterr().err


def test_a_copy_says_the_same(folder, capsys, tmp_path):
    before = graft(capsys, "status", "--kb", folder)
    graft(capsys, "copy", "--kb", folder, "--to", tmp_path / "copy.sqlite")
    assert graft(capsys, "status", "--graph", tmp_path / "copy.sqlite") == before


@pytest.mark.parametrize("suffix", ["html", "png"])
def test_show_draws_what_is_around_a_thing(folder, capsys, tmp_path, suffix):
    told = graft(capsys, "show", "乔布斯", "--kb", folder, "--out", tmp_path / f"a.{suffix}")
    assert told["shown"] == "乔布斯"
    assert (told["nodes"], told["relationships"]) == (4, 3)
    assert (tmp_path / f"a.{suffix}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["status"], "Say which graph"),
        (["status", "--kb", "nowhere"], "graft ingest"),
        (["show", "Nobody at all", "--kb", "{}", "--out", "a.png"], "nothing called"),
        (["show", "乔布斯", "--kb", "{}", "--out", "a.gif"], ".html or .png"),
    ],
)
def test_wrong_use_says_what_to_do(folder, capsys, arguments, reason):
    assert main(["graph", *(one.format(folder) for one in arguments)]) == 2
    assert reason in capsys.readouterr().err
