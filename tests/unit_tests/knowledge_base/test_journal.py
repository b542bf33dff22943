"""The journal: what is recorded, and the way of a chunk."""

import sqlite3
from array import array

import pytest

from langchain_graft.errors import KnowledgeBaseError
from langchain_graft.knowledge_base import journal as journal_module
from langchain_graft.knowledge_base.journal import ChunkRecord, Journal, SourceRecord


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite", mode="rwc")
    yield journal
    journal.close()


def source(name="a.md", **changes):
    values = {"origin": f"/d/{name}", "root": "/d", "digest": "1", "state": "ready", **changes}
    return SourceRecord(source_id=name, **values)


def chunks(*texts, name="a.md", **metadata):
    return [
        ChunkRecord(
            id=f"{name}:{text}",
            source_id=name,
            ordinal=ordinal,
            text=text,
            embedded_text=f"T\n{text}",
            metadata=metadata,
        )
        for ordinal, text in enumerate(texts)
    ]


def embed(journal):
    journal.set_vectors({chunk.id: [0.5, 0.25] for chunk in journal.pending(100)})


def test_a_chunk_goes_from_pending_to_indexed(journal):
    journal.record(source(), chunks("one", "two", year=1984))
    assert journal.counts() == {"pending": 2}
    assert journal.pending(1) == chunks("one", year=1984)

    embed(journal)
    assert journal.counts() == {"embedded": 2}
    first, second = journal.embedded(("", -1), 10)
    assert (first.text, first.vector, first.metadata) == (
        "one",
        array("f", [0.5, 0.25]),
        {"year": 1984},
    )
    assert journal.embedded((first.source_id, first.ordinal), 10) == [second]

    journal.finish(1)
    assert (journal.counts(), journal.generation()) == ({"indexed": 2}, 1)
    assert journal.embedded(("", -1), 10) == []


def test_chunks_that_stay_the_same_are_not_done_again(journal):
    journal.record(source(), chunks("one", "two"))
    embed(journal)
    journal.finish(1)
    journal.record(source(digest="2"), chunks("two", "three"))
    assert journal.ids("indexed") == {"a.md:two"}
    assert journal.ids("pending") == {"a.md:three"}
    assert journal.ids("removed") == {"a.md:one"}


def test_other_metadata_or_headings_make_a_chunk_new(journal):
    journal.record(source(), chunks("one", year=1984))
    embed(journal)
    journal.record(source(), chunks("one", year=1985))
    assert journal.counts() == {"pending": 1}


def test_a_removed_chunk_that_comes_back_is_done_again(journal):
    journal.record(source(), chunks("one"))
    embed(journal)
    journal.finish(1)
    journal.forget(["a.md"])
    assert journal.counts() == {"removed": 1}
    journal.record(source(), chunks("one"))
    assert journal.counts() == {"pending": 1}


def test_places_are_those_of_the_last_reading(journal):
    journal.record(source(), chunks("one", "two"))
    embed(journal)
    journal.record(source(), chunks("new", "one", "two"))
    embed(journal)
    pages = []
    after = ("", -1)
    while page := journal.embedded(after, 1):
        pages += page
        after = (page[-1].source_id, page[-1].ordinal)
    assert [chunk.text for chunk in pages] == ["new", "one", "two"]


def test_a_failure_keeps_what_was_indexed(journal):
    journal.record(source(), chunks("one"))
    journal.record(source(digest="", state="failed", detail="it is locked"))
    assert journal.sources()["a.md"].detail == "it is locked"
    assert journal.counts() == {"pending": 1}


def test_start_over_embeds_everything_again(journal):
    journal.record(source(), chunks("one", "two"))
    embed(journal)
    journal.finish(1)
    journal.record(source(), chunks("two", "three"))
    journal.start_over()
    assert journal.counts() == {"pending": 2}


def test_a_transaction_that_fails_leaves_nothing(journal):
    def broken():
        yield from chunks("one")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        journal.record(source(), broken())
    assert (journal.sources(), journal.counts()) == ({}, {})


def test_readers_see_what_is_committed_while_the_writer_is_open(journal, tmp_path):
    journal.record(source(), chunks("one"))
    reader = Journal(tmp_path / "journal.sqlite", mode="ro")
    try:
        assert reader.counts() == {"pending": 1}
        with pytest.raises(KnowledgeBaseError, match=r"Can not write to .* readonly database"):
            reader.forget(["a.md"])
    finally:
        reader.close()


@pytest.mark.parametrize("name", ["a#b", "a?b", "100%25", "空 格"])
def test_folders_of_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    journal = Journal(folder / "journal.sqlite", mode="rwc")
    journal.record(source(), chunks("one"))
    journal.close()
    assert (folder / "journal.sqlite").exists()
    reader = Journal(folder / "journal.sqlite", mode="ro")
    assert reader.counts() == {"pending": 1}
    reader.close()


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_damaged_journal_says_what_to_do(tmp_path, mode):
    (tmp_path / "journal.sqlite").write_bytes(b"no database " * 1000)
    with pytest.raises(KnowledgeBaseError, match=r"journal.sqlite' .*Restore it from a backup"):
        Journal(tmp_path / "journal.sqlite", mode=mode)


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_journal_that_is_gone_is_not_made_anew(tmp_path, mode):
    with pytest.raises(KnowledgeBaseError, match=r"is gone .*Restore it from a backup"):
        Journal(tmp_path / "journal.sqlite", mode=mode)
    assert list(tmp_path.iterdir()) == []


def test_few_chunks_are_found_without_looking_at_the_indexed_ones(journal):
    journal.record(source(), chunks("one", "two"))
    asked = []
    journal._database.set_trace_callback(asked.append)
    assert (journal.count("pending"), journal.count("embedded")) == (2, 0)
    embed(journal)
    journal.embedded(("", -1), 10)
    journal.finish(1)
    journal._database.set_trace_callback(None)
    plans = [
        " ".join(row[3] for row in journal._database.execute(f"EXPLAIN QUERY PLAN {statement}"))
        for statement in asked
        if "state <> 'indexed'" in statement
    ]
    assert len(plans) == 6
    assert [plan for plan in plans if "chunks_in_work" not in plan] == []


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_busy_journal_is_not_called_damaged(tmp_path, mode, monkeypatch):
    Journal(tmp_path / "journal.sqlite", mode="rwc").close()
    monkeypatch.setattr(journal_module, "_TIMEOUT_SECONDS", 0.1)
    other = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(KnowledgeBaseError, match=r"Can not open .*locked.*nothing is lost"):
        Journal(tmp_path / "journal.sqlite", mode=mode)
    other.close()
