"""What readers see while generations come and go, and a generation that was damaged."""

import os
import shutil
import threading

import pytest
from langchain_core.documents import Document

from langchain_graft.errors import DigestMismatchError, KnowledgeBaseError, NotAKnowledgeBaseError
from langchain_graft.knowledge_base import KnowledgeBase, indexes, knowledge_base
from langchain_graft.testing import HashEmbeddings


def rows(*texts):
    return [Document(text, metadata={"source": text, "language": "en"}) for text in texts]


def found(kb, word, kind="bm25"):
    return [document.page_content for document in kb.retriever(kind, k=9).invoke(word)]


def generations(kb):
    return sorted(path.name for path in (kb.folder / "generations").iterdir())


@pytest.mark.parametrize("kind", ["bm25", "vector"])
def test_nothing_is_found_while_nothing_is_published(kb, kind):
    assert found(kb, "apple", kind) == []


@pytest.mark.parametrize("kind", ["bm25", "vector"])
def test_a_reader_sees_a_new_generation_by_itself(kb, kind):
    kb.ingest_documents(rows("apple"))
    reader = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())
    retriever = reader.retriever(kind)
    assert [document.page_content for document in retriever.invoke("apple")] == ["apple"]
    kb.ingest_documents(rows("apple pie"))
    texts = {document.page_content for document in retriever.invoke("apple")}
    assert texts == {"apple", "apple pie"}
    reader.close()


@pytest.mark.parametrize("attempts", [1, 5])
def test_a_generation_may_be_removed_while_it_is_being_opened(kb, monkeypatch, attempts):
    """Two newer ones are published each time it looks whether the files are its own."""
    kb.ingest_documents(rows("apple 0"))
    reader = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())
    access, published = os.access, []

    def publish_meanwhile(path, mode):
        is_read = path.name == "chroma" and path.parent.suffix != ".building"
        if is_read and len(published) < 2 * attempts:
            for _ in range(2):
                published.append(path)
                kb.ingest_documents(rows(f"apple {len(published)}"), root="r")
        return access(path, mode)

    monkeypatch.setattr(indexes.os, "access", publish_meanwhile)
    last = f"apple {2 * attempts}"
    assert last in found(reader, last, "vector")
    reader.close()


def test_what_can_not_be_opened_is_told_while_nothing_new_is_published(kb, monkeypatch):
    kb.ingest_documents(rows("apple"))
    reader = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())
    monkeypatch.setattr(indexes.os, "access", lambda *_: False)
    with pytest.raises(KnowledgeBaseError, match="Chroma has to write there"):
        found(reader, "apple", "vector")
    reader.close()


def test_a_search_that_began_ends_on_its_generation(kb):
    """It embeds its query while another generation is published, and the one after that."""
    embedding, published = threading.Event(), threading.Event()

    class Slow(HashEmbeddings):
        def embed_query(self, text):
            if text == "apple query":
                embedding.set()
                assert published.wait(20)
            return super().embed_query(text)

    kb.ingest_documents(rows("apple"), root="r")
    reader = KnowledgeBase.open(kb.folder, embeddings=Slow())
    answers = []
    search = threading.Thread(
        target=lambda: answers.extend(reader.retriever(k=9).invoke("apple query"))
    )
    search.start()
    assert embedding.wait(20)
    kb.ingest_documents(rows("banana"), root="r")
    assert found(reader, "banana", "vector") == ["banana"]
    published.set()
    search.join()
    assert [document.page_content for document in answers] == ["apple"]
    assert found(reader, "apple", "vector") == ["banana"]
    reader.close()


def test_old_generations_are_cleaned_up_but_for_the_last(kb):
    for number in range(4):
        kb.ingest_documents(rows(f"text {number}"))
    assert generations(kb) == ["000003", "000004"]


def test_what_a_killed_run_left_is_cleaned_up(kb):
    kb.ingest_documents(rows("apple"))
    left = kb.folder / "generations" / "000002.building" / "chroma"
    left.mkdir(parents=True)
    (left / "chroma.sqlite3").write_bytes(b"half")
    kb.ingest_documents(rows("apple pie"))
    assert generations(kb) == ["000001", "000002"]
    assert len(found(kb, "apple", "vector")) == 2


def damage(kb, what):
    (generation,) = (kb.folder / "generations").iterdir()
    if what == "gone":
        shutil.rmtree(generation)
    elif what == "vectors gone":
        (generation / "chroma" / "chroma.sqlite3").unlink()
    elif what == "vectors garbage":
        (generation / "chroma" / "chroma.sqlite3").write_bytes(b"garbage" * 1000)
    elif what == "words gone":
        shutil.rmtree(generation / "words")
    else:
        (generation / "words" / "meta.json").write_bytes(b"{")


DAMAGES = ["gone", "vectors gone", "vectors garbage", "words gone", "words garbage"]


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_generation_is_told_and_built_anew(kb, what):
    kb.ingest_documents(rows("apple", "banana"))
    kb.close()
    damage(kb, what)
    with pytest.raises(KnowledgeBaseError, match=r"are damaged .*graft ingest` builds them anew"):
        found(kb, "apple", "vector" if "vectors" in what else "bm25")
    report = kb.ingest_documents(rows("apple", "banana"))
    assert (report.unchanged, report.chunks, report.rebuilt) == (2, 2, True)
    assert found(kb, "apple") == found(kb, "apple", "vector")[:1] == ["apple"]
    assert kb.status().chunks == {"indexed": 2}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_generation_is_built_anew_with_what_is_new(kb, what):
    kb.ingest_documents(rows("apple", "banana"))
    kb.close()
    damage(kb, what)
    assert kb.ingest_documents(rows("cherry")).chunks == 3
    assert set(found(kb, "cherry", "vector")) == {"apple", "banana", "cherry"}
    assert found(kb, "cherry") == ["cherry"]


def test_words_are_found_while_the_vectors_are_damaged(kb):
    kb.ingest_documents(rows("apple", "banana"))
    kb.close()
    damage(kb, "vectors garbage")
    assert found(kb, "apple") == ["apple"]


@pytest.mark.parametrize(
    "trouble",
    [OSError(24, "Too many open files"), PermissionError(13, "Permission denied"), MemoryError()],
)
def test_a_trouble_that_passes_is_no_damage(kb, trouble, monkeypatch):
    kb.ingest_documents(rows("apple", "banana"))

    def fail(*_):
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(indexes.shutil, "copytree", fail)
        with pytest.raises(
            KnowledgeBaseError, match=r"Can not write to .* do it again: it goes on"
        ):
            kb.ingest_documents(rows("cherry"))
    report = kb.ingest_documents(rows("cherry"))
    assert (report.chunks, report.rebuilt) == (0, False)
    assert kb.status().chunks == {"indexed": 3}


def test_a_reader_without_memory_is_told_so(kb, monkeypatch):
    kb.ingest_documents(rows("apple"))

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(indexes, "BM25Index", fail)
        with pytest.raises(KnowledgeBaseError, match=r"Can not read .* now: no memory"):
            found(kb, "apple")
    assert found(kb, "apple") == ["apple"]


def test_stopped_between_publishing_and_noting_it(kb, monkeypatch):
    """`kb.json` names the new generation, the journal does not yet."""

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("langchain_graft.knowledge_base.journal.Journal.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            kb.ingest_documents(rows("apple"))
    assert found(kb, "apple") == ["apple"]
    assert kb.status().chunks == {"embedded": 1}
    report = kb.ingest_documents(rows("apple"))
    assert (report.unchanged, report.chunks, kb.status().generation) == (1, 0, 1)
    assert kb.status().chunks == {"indexed": 1}


def test_another_embedder_is_refused(kb):
    with pytest.raises(DigestMismatchError, match="hash-64, asked was hash-32"):
        KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings(dimension=32))


def test_an_embedder_object_has_to_be_given_again(kb):
    with pytest.raises(KnowledgeBaseError, match=r"open it with embeddings=\.\.\."):
        KnowledgeBase.open(kb.folder)


def test_open_where_there_is_none(tmp_path):
    with pytest.raises(NotAKnowledgeBaseError):
        KnowledgeBase.open(tmp_path, embeddings=HashEmbeddings())
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_made_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    """Another process makes one while this one still loads its embedder."""

    def another(*_):
        monkeypatch.undo()
        KnowledgeBase.create(tmp_path / "kb", embeddings=HashEmbeddings(32))

    monkeypatch.setattr(knowledge_base, "_check_window", another)
    with pytest.raises(KnowledgeBaseError, match=r"already: KnowledgeBase\.open it"):
        KnowledgeBase.create(tmp_path / "kb", embeddings=HashEmbeddings())
    KnowledgeBase.open(tmp_path / "kb", embeddings=HashEmbeddings(32))


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KnowledgeBaseError, match="Can not write to"):
        KnowledgeBase.create(tmp_path / "file" / "kb", embeddings=HashEmbeddings())


def test_a_relative_model_folder_is_found_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(knowledge_base, "load_embeddings", lambda *_, **__: HashEmbeddings())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    kb = KnowledgeBase.create("kb", embeddings="hf:m")
    assert kb.status().embeddings == f"hf:{tmp_path / 'm'}"
    kb.require(embeddings="hf:m")
    with pytest.raises(ValueError, match="asked was 'hf:other/m'"):
        kb.require(embeddings="hf:other/m")
