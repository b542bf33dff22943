"""Files in, a report out: what is new, changed, gone, moved, doubled."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from langchain_graft.errors import DigestMismatchError, KnowledgeBaseError
from langchain_graft.knowledge_base import IngestSettings, KnowledgeBase
from langchain_graft.testing import HashEmbeddings


def counts(report):
    names = ("added", "changed", "unchanged", "removed", "duplicates", "chunks")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def test_new_unchanged_changed_and_gone(kb, documents, write, texts):
    write("a.md", "apple")
    write("sub/b.md", "banana")
    assert counts(kb.ingest(documents)) == {"added": 2, "chunks": 2}
    assert texts() == {"a.md": ["apple"], "sub/b.md": ["banana"]}

    generation = kb.status().generation
    assert counts(kb.ingest(documents)) == {"unchanged": 2}
    assert kb.status().generation == generation

    write("a.md", "apricot")
    assert counts(kb.ingest(documents)) == {"changed": 1, "unchanged": 1, "chunks": 1}
    assert texts() == {"a.md": ["apricot"], "sub/b.md": ["banana"]}

    (documents / "a.md").unlink()
    assert counts(kb.ingest(documents)) == {"removed": 1, "unchanged": 1}
    assert texts() == {"sub/b.md": ["banana"]}


def test_a_file_with_another_name_is_another_document(kb, documents, write, texts):
    write("a.md", "apple")
    kb.ingest(documents)
    (documents / "a.md").rename(documents / "z.md")
    assert counts(kb.ingest(documents)) == {"added": 1, "removed": 1, "chunks": 1}
    assert texts() == {"z.md": ["apple"]}


def test_a_folder_that_moved_keeps_its_documents(kb, documents, write, texts):
    write("a.md", "apple")
    kb.ingest(documents)
    moved = documents.rename(documents.with_name("moved"))
    assert counts(kb.ingest(moved)) == {"unchanged": 1}
    assert texts() == {"a.md": ["apple"]}


def test_of_two_files_with_the_same_content_one_is_indexed(kb, documents, write, texts):
    write("a.md", "apple")
    write("b.md", "apple")
    assert counts(kb.ingest(documents)) == {"added": 1, "duplicates": 1, "chunks": 1}
    assert kb.status().documents == {"ready": 1, "duplicate": 1}
    (documents / "a.md").unlink()
    assert counts(kb.ingest(documents)) == {"added": 1, "removed": 1, "chunks": 1}
    assert texts() == {"b.md": ["apple"]}


def test_a_duplicate_of_an_earlier_run_is_one_too(kb, documents, write, texts):
    """In whatever order folders are ingested, one after the other or together."""
    write("x/a.md", "apple")
    write("y/b.md", "apple")
    first, second = documents / "x", documents / "y"
    assert counts(kb.ingest(second)) == {"added": 1, "chunks": 1}
    assert counts(kb.ingest(first)) == {"duplicates": 1}
    assert counts(kb.ingest(first, second)) == {"duplicates": 1, "unchanged": 1}
    assert texts() == {"b.md": ["apple"]}


def test_a_duplicate_takes_the_place_of_what_is_removed_gone_or_changed(
    kb, documents, write, texts
):
    for name in ("w/a.md", "x/b.md", "y/c.md", "z/d.md"):
        write(name, "apple")
    kb.ingest(*(documents / name for name in "wxyz"))
    assert counts(kb.remove("a.md")) == {"removed": 1, "added": 1, "duplicates": 2, "chunks": 1}
    assert texts() == {"b.md": ["apple"]}

    (documents / "x" / "b.md").unlink()
    told = {"removed": 1, "added": 1, "duplicates": 1, "chunks": 1}
    assert counts(kb.ingest(documents / "x")) == told
    assert texts() == {"c.md": ["apple"]}

    write("y/c.md", "cherry")
    assert counts(kb.ingest(documents / "y")) == {"changed": 1, "added": 1, "chunks": 2}
    assert texts() == {"c.md": ["cherry"], "d.md": ["apple"]}
    assert kb.status().documents == {"ready": 2}


def test_a_duplicate_that_is_gone_takes_no_place(kb, documents, write, texts):
    write("a.md", "apple")
    write("b.md", "apple")
    kb.ingest(documents)
    (documents / "b.md").unlink()
    assert counts(kb.remove("a.md")) == {"removed": 1}
    assert texts() == {}


def test_the_same_bytes_for_another_reader_are_no_duplicate(kb, documents, texts):
    for name in ("a.html", "b.txt"):
        (documents / name).write_text("<p>苹果公司</p>", encoding="utf-8")
    assert counts(kb.ingest(documents)) == {"added": 2, "chunks": 2}
    assert texts() == {"a.html": ["苹果公司"], "b.txt": ["<p>苹果公司</p>"]}


def test_two_files_of_one_name_are_two_documents(kb, documents, write, texts):
    write("x/a.md", "apple")
    write("y/a.md", "banana")
    first, second = documents / "x", documents / "y"
    assert counts(kb.ingest(first, second)) == {"added": 2, "chunks": 2}
    assert texts() == {"a.md": ["apple"], "y/a.md": ["banana"]}
    assert counts(kb.ingest(second)) == {"unchanged": 1}
    assert counts(kb.ingest(second / "a.md", first / "a.md")) == {"unchanged": 2}


def test_a_file_keeps_its_id_however_it_is_asked_for(kb, documents, write, texts):
    path = write("sub/a.md", "apple")
    kb.ingest(documents)
    assert counts(kb.ingest(documents / "sub")) == {"unchanged": 1}
    assert counts(kb.ingest(path)) == {"unchanged": 1}
    assert texts() == {"sub/a.md": ["apple"]}
    path.unlink()
    assert counts(kb.ingest(documents / "sub")) == {"removed": 1}
    assert texts() == {}


def test_a_knowledge_base_in_the_folder_is_not_ingested(documents, write, texts_of):
    write("a.md", "apple")
    kb = KnowledgeBase.create(documents / "my-kb", embeddings=HashEmbeddings())
    assert counts(kb.ingest(documents)) == {"added": 1, "chunks": 1}
    assert counts(kb.ingest(documents)) == {"unchanged": 1}
    assert (kb.status().generation, texts_of(kb)) == (1, {"a.md": ["apple"]})
    kb.close()


def test_other_folders_stay_when_one_is_ingested(kb, documents, write, texts):
    write("x/a.md", "apple")
    write("y/b.md", "banana")
    kb.ingest(documents / "x", documents / "y")
    (documents / "x" / "a.md").unlink()
    assert counts(kb.ingest(documents / "y")) == {"unchanged": 1}
    assert set(texts()) == {"a.md", "b.md"}


def test_the_same_words_twice_in_a_document_are_two_chunks(tmp_path, documents, write):
    write("a.md", "# Same\n\n" + "## Part\n\nThe same words again and again, all of them.\n\n" * 3)
    folder = tmp_path / "small"
    kb = KnowledgeBase.create(
        folder, embeddings=HashEmbeddings(), settings=IngestSettings(chunk_tokens=24)
    )
    kb.ingest(documents)
    found = kb.retriever("bm25", k=9).invoke("again")
    assert len({document.id for document in found}) == 3
    assert len({document.page_content for document in found}) == 1
    kb.close()


IDS = """
import sys
from pathlib import Path
from langchain_graft.knowledge_base.ingest import chunk_records
from langchain_graft.knowledge_base.reading import Chunker
from langchain_graft.knowledge_base.settings import IngestSettings
from langchain_graft.models.tokens import TokenCounter
chunker = Chunker(settings=IngestSettings(), counter=TokenCounter())
chunks = chunker.read(Path(sys.argv[1])).chunks
print([chunk.id for chunk in chunk_records("a.md", chunks, source=sys.argv[1])])
"""


def test_ids_are_the_same_on_every_machine(kb, write):
    """A hash of source, text and occurrence; another process has another hash seed."""
    path = write("a.md", "苹果")
    kb.ingest(path)
    key = json.dumps(["a.md", "苹果", 0], ensure_ascii=False)
    id_ = hashlib.sha256(key.encode()).hexdigest()[:32]
    assert [document.id for document in kb.retriever("bm25").invoke("苹果")] == [id_]
    told = subprocess.run(
        [sys.executable, "-c", IDS, str(path)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == f"['{id_}']\n"


def test_metadata_of_a_chunk(kb, documents, write):
    path = write(
        "a b 水果.md", "# Fruit\n\n## Kinds\n\nThe apple is one of the oldest of them all."
    )
    os.utime(path, (1e9, 1e9))
    kb.ingest(documents)
    (found,) = kb.retriever("bm25").invoke("apple")
    score = found.metadata.pop("score")
    assert score > 0
    assert found.metadata == {
        "title": "Fruit",
        "heading": "Kinds",
        "language": "en",
        "date": "2001-09-09",
        "source": str(path),
        "source_id": "a b 水果.md",
    }


def test_the_language_is_found_where_none_is_said(kb, documents):
    (documents / "a.txt").write_text("The garage was cold in winter and hot.", encoding="utf-8")
    (documents / "b.txt").write_text("他们在车库里做了第一台电脑", encoding="utf-8")
    kb.ingest(documents)
    found = kb.retriever("bm25", k=9).search_many(["garage", "车库"])
    assert [ranking[0].metadata["language"] for ranking in found] == ["en", "zh"]


def test_remove_takes_documents_out_until_they_are_ingested_again(kb, documents, write, texts):
    write("a.md", "apple")
    write("b.md", "banana")
    kb.ingest(documents)
    assert counts(kb.remove("a.md", "a.md")) == {"removed": 1}
    assert texts() == {"b.md": ["banana"]}
    assert counts(kb.ingest(documents)) == {"added": 1, "unchanged": 1, "chunks": 1}


def test_remove_of_what_is_not_there_removes_nothing(kb, documents, write, texts):
    write("a.md", "apple")
    kb.ingest(documents)
    with pytest.raises(ValueError, match=r"Not in the knowledge base: 'x', 'y'"):
        kb.remove("a.md", "y", "x")
    assert texts() == {"a.md": ["apple"]}


def test_settings_are_kept_and_asked_for(tmp_path, kb):
    settings = IngestSettings(chunk_tokens=64, max_file_mb=2)
    KnowledgeBase.create(tmp_path / "own", embeddings=HashEmbeddings(), settings=settings)
    own = KnowledgeBase.open(tmp_path / "own", embeddings=HashEmbeddings())
    own.require(chunk_tokens=64, max_file_mb=2)
    with pytest.raises(ValueError, match=r"was made with chunk_tokens=64, asked was 99"):
        own.require(chunk_tokens=99)


def test_a_chunk_that_the_embedder_can_not_read_whole_is_refused(tmp_path):
    embeddings = HashEmbeddings()
    embeddings.max_tokens = 128
    with pytest.raises(ValueError, match="chunk_tokens is 160, but the embedder reads 128"):
        KnowledgeBase.create(tmp_path / "own", embeddings=embeddings)
    assert not (tmp_path / "own").exists()


def test_a_second_one_in_the_same_folder_is_refused(kb):
    with pytest.raises(KnowledgeBaseError, match=r"already: KnowledgeBase\.open it"):
        KnowledgeBase.create(kb.folder, embeddings=HashEmbeddings())


def test_one_that_is_there_may_be_opened_instead(kb, write, documents):
    write("a.md", "apple")
    kb.ingest(documents)
    again = KnowledgeBase.create(kb.folder, embeddings=HashEmbeddings(), exist_ok=True)
    assert again.status().documents == {"ready": 1}
    again.close()
    with pytest.raises(DigestMismatchError):
        KnowledgeBase.create(kb.folder, embeddings=HashEmbeddings(32), exist_ok=True)


def test_skipped_kinds_are_counted_and_status_tells_the_rest(kb, documents, write):
    write("a.md", "apple")
    write("b.exe", "x")
    report = kb.ingest(documents)
    assert report.skipped == {".exe": 1}
    assert set(report.seconds) == {"read", "embed", "index"}
    status = kb.status()
    assert (status.documents, status.chunks) == ({"ready": 1}, {"indexed": 1})
    assert (status.generation, status.embeddings, status.embeddings_digest) == (1, None, "hash-64")
    assert status.bytes > 10_000
    assert (status.failures, status.writer) == ({}, None)
