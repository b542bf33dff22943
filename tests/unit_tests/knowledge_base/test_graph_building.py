"""The graph of a knowledge base: chunk by chunk, once, resumable, rebuilt from the journal."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from langchain_graft.errors import GraftError
from langchain_graft.graph import schema_of
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

FACT = re.compile(r"(\w+) founded (\w+)\.")


class Writer:
    """Replies with the facts of the last passage; counts its calls, and fails where it is told."""

    def __init__(self):
        self.calls = []
        self.fail = ""
        self.model = ScriptedChatModel(reply=self.reply)

    def reply(self, prompt):
        passage = prompt.rpartition("TAUGHT_AT")[2]
        self.calls.append(passage)
        if self.fail and self.fail in passage:
            msg = "the model is gone"
            raise OSError(msg)
        facts = FACT.findall(passage)
        return "\n".join(f"{a} | Person | FOUNDED | {b} | Company" for a, b in facts) or "NONE"


@pytest.fixture
def writer():
    return Writer()


def contents(kb):
    """Names and triples of the graph, and the chunks that it has."""
    with closing(kb.graph) as store:
        found = store.find_entities("Jobs Apple Gates Microsoft Torvalds Linux Perot NeXT", k=50)
        graph = store.expand([one.node.id for one in found], depth=2)
        names = {node.id: node.name for node in graph.nodes}
        chunks = {m.chunk_id for node in graph.nodes for m in node.mentions}
        assert len(store.chunks(sorted(chunks))) == len(chunks)
    return {(names[r.source], r.type, names[r.target]) for r in graph.relationships}


JOBS = ("Jobs", "FOUNDED", "Apple")
GATES = ("Gates", "FOUNDED", "Microsoft")


def test_the_model_reads_each_chunk_once(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    write("b.md", "# B\n\nGates founded Microsoft. It made software.")
    kb.ingest(documents)
    report = kb.build_graph(writer.model)
    assert (report.extracted, report.kept, report.failed) == (2, 0, {})
    assert contents(kb) == {JOBS, GATES}
    again = kb.build_graph(writer.model)
    assert (again.extracted, again.kept, again.added, again.removed) == (0, 2, 0, 0)
    assert len(writer.calls) == 2


def test_what_changed_or_is_gone_leaves_the_graph(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    write("b.md", "# B\n\nGates founded Microsoft. It made software.")
    kb.ingest(documents)
    kb.build_graph(writer.model)
    write("a.md", "# A\n\nPerot founded NeXT. It made computers.")
    (documents / "b.md").unlink()
    kb.ingest(documents)
    report = kb.build_graph(writer.model)
    assert (report.extracted, report.removed) == (1, 2)
    assert contents(kb) == {("Perot", "FOUNDED", "NeXT")}
    assert kb.status().graph["extracted"] == 1


def test_a_failure_is_in_the_journal_and_tried_again(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    write("b.md", "# B\n\nGates founded Microsoft. It made software.")
    kb.ingest(documents)
    writer.fail = "Gates"
    report = kb.build_graph(writer.model)
    [why] = report.failed.values()
    assert "the model is gone" in why
    assert contents(kb) == {JOBS}
    status = kb.status()
    assert status.graph == {"extracted": 1, "failed": 1}
    assert list(status.graph_failures.values()) == [why]
    writer.fail = ""
    report = kb.build_graph(writer.model)
    assert (report.extracted, report.kept) == (1, 1)
    assert contents(kb) == {JOBS, GATES}
    assert kb.status().graph_failures == {}


def test_a_model_that_is_not_there_stops_the_run(kb, documents, write, writer):
    for n in range(12):
        write(f"{n}.md", f"# {n}\n\nJobs founded Apple. This is text number {n}.")
    kb.ingest(documents)
    writer.fail = "Jobs"
    with pytest.raises(GraftError, match=r"8 calls of the model failed.*the model is gone"):
        kb.build_graph(writer.model, max_concurrency=1)
    assert len(writer.calls) == 16  # each twice
    writer.fail = ""
    assert kb.build_graph(writer.model).extracted == 12


def test_another_schema_asks_again_and_the_same_does_not(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    kb.ingest(documents)
    kb.build_graph(writer.model)
    schema = schema_of(["Person", "Company"], {"FOUNDED": [("Person", "Company")]})
    assert kb.build_graph(writer.model, schema=schema).extracted == 1
    assert kb.build_graph(writer.model, schema=schema).extracted == 0


def test_a_graph_that_was_deleted_is_built_again_without_the_model(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    kb.ingest(documents)
    kb.build_graph(writer.model)
    for path in kb.folder.glob("graph.sqlite*"):
        path.unlink()
    report = kb.build_graph(writer.model)
    assert (report.extracted, report.added) == (0, 1)
    assert contents(kb) == {JOBS}


def test_an_estimate_keeps_what_it_measured(kb, documents, write, writer):
    for n in range(5):
        write(f"{n}.md", f"# {n}\n\nJobs founded Apple. This is text number {n}.")
    kb.ingest(documents)
    estimate = kb.estimate_graph(writer.model)
    assert (estimate.measured, estimate.calls, estimate.extracted) == (2, 3, 2)
    assert estimate.input_tokens > 300
    assert estimate.output_tokens > 0
    assert estimate.seconds is not None
    assert kb.build_graph(writer.model).extracted == 3


def test_an_estimate_without_the_model_ends_at_the_first_failure(kb, documents, write, writer):
    for n in range(5):
        write(f"{n}.md", f"# {n}\n\nJobs founded Apple. This is text number {n}.")
    kb.ingest(documents)
    writer.fail = "Jobs"
    estimate = kb.estimate_graph(writer.model)
    assert (estimate.measured, estimate.calls, estimate.seconds) == (0, 5, None)
    assert len(writer.calls) == 2  # one chunk, twice


def test_an_estimate_on_the_way_is_told_and_nothing_is_read_twice(kb, documents, write, writer):
    for n in range(5):
        write(f"{n}.md", f"# {n}\n\nJobs founded Apple. This is text number {n}.")
    kb.ingest(documents)
    told = []
    writer.fail = "number 1"
    report = kb.build_graph(writer.model, on_estimate=told.append, max_concurrency=1)
    [estimate] = told
    assert estimate.calls + estimate.measured == 5
    assert (report.extracted, report.kept, len(report.failed)) == (4, 0, 1)
    writer.fail = ""
    report = kb.build_graph(writer.model, on_estimate=told.append)
    assert (report.extracted, report.kept, report.failed) == (1, 4, {})


def test_a_store_that_was_emptied_gets_the_graph_again(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    kb.ingest(documents)
    for _ in range(2):
        with closing(EmbeddedGraphStore(None)) as store:
            assert kb.build_graph(writer.model, store=store).added == 1
            assert len(store.chunk_ids()) == 1
    assert len(writer.calls) == 1


def test_a_journal_of_an_older_version_is_taken_over(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    kb.ingest(documents)
    tables = ("extractions", "graph_chunks", "graph_merges", "same_entity")
    with closing(sqlite3.connect(kb.folder / "journal.sqlite")) as database:
        for table in tables:
            database.execute(f"DROP TABLE {table}")
    assert kb.status().graph == {}
    assert kb.build_graph(writer.model).extracted == 1


def test_merges_are_told_and_can_be_undone(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    write("b.md", "# B\n\nJobs founded Apple. It made telephones.")
    kb.ingest(documents)
    kb.build_graph(writer.model)
    merged = kb.merges()
    assert {(one.left_name, one.reason) for one in merged} >= {("Jobs", "same name")}
    [jobs] = [one for one in merged if one.left_name == "Jobs"]
    assert names(kb).count("Jobs") == 1
    kb.undo_merge(jobs)
    assert names(kb).count("Jobs") == 2
    kb.build_graph(writer.model)
    assert names(kb).count("Jobs") == 2
    with pytest.raises(ValueError, match="No merge of"):
        kb.undo_merge(jobs.__class__(**{**jobs.__dict__, "left": "x"}))


def open_files(folder):
    found = (path.resolve() for path in Path("/proc/self/fd").iterdir())
    return {path.name for path in found if path.parent == folder.resolve()}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_its_graph_is_opened_once_and_closed_with_it(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    kb.ingest(documents)
    kb.build_graph(writer.model)
    retriever = kb.retriever("graph")
    assert kb.graph is kb.graph is retriever.store
    assert retriever.invoke("Jobs")
    assert "graph.sqlite" in open_files(kb.folder)
    kb.close()
    assert open_files(kb.folder) == set()
    assert retriever.invoke("Jobs")


def names(kb):
    with closing(kb.graph) as store:
        return [one.node.name for one in store.find_entities("Jobs Apple", k=20)]


def test_it_opens_where_another_process_built_it(kb, documents, write, writer):
    write("a.md", "# A\n\nJobs founded Apple. It made computers.")
    kb.ingest(documents)
    kb.build_graph(writer.model)
    with closing(KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())) as other:
        assert contents(other) == {JOBS}
