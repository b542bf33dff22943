"""Releases: promoted beside what serves, exchanged in one step, gone back from."""

import json
import sqlite3
import threading
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_graft.errors import (
    AdapterNotFoundError,
    GateFailedError,
    KnowledgeBaseError,
    ReleaseError,
)
from langchain_graft.knowledge_base import KnowledgeBase, publishing
from langchain_graft.retrievers.weakness import Weakness
from langchain_graft.testing import HashEmbeddings

_spec = spec_from_file_location("fake_adapters", Path(__file__).with_name("fake_adapters.py"))
fakes = module_from_spec(_spec)
_spec.loader.exec_module(fakes)


@pytest.fixture
def store(monkeypatch):
    store = fakes.FakeStore()
    fakes.patch(store, monkeypatch.setattr)
    monkeypatch.setattr(publishing, "EMBED_BATCH", 4)
    monkeypatch.setattr("langchain_graft.knowledge_base.reembedding.EMBED_BATCH", 4)
    return store


@pytest.fixture
def kb(kb, store):
    kb.ingest_documents(rows(*(f"text {n} apple" for n in range(10))))
    return kb


def rows(*texts):
    """Documents of one chunk, whose text is what is embedded."""
    return [Document(text, metadata={"source": text, "language": "en"}) for text in texts]


def generations(kb):
    return sorted(path.name for path in (kb.folder / "generations").iterdir())


def kb_json(kb):
    return json.loads((kb.folder / "kb.json").read_text("utf-8"))


def test_one_without_promotions_is_as_it_was(kb):
    assert (kb.release.number, kb.release.generation) == (0, 1)
    assert kb.release.adapters == []
    assert [release.number for release in kb.releases()] == [0]
    assert kb_json(kb).keys() == {
        "format", "written_by", "generation", "chunks", "embeddings", "embeddings_digest",
        "settings",
    }  # fmt: skip
    assert kb_json(kb)["format"] == 1
    with pytest.raises(ReleaseError, match="Release 0 is the first one"):
        kb.rollback()


def test_promotion_of_an_embedder(kb, store):
    told, estimates = [], []
    release = kb.promote(
        "near@000001",
        on_progress=lambda *news: told.append(news),
        on_estimate=estimates.append,
        why="medical questions",
    )
    assert release == kb.release
    assert (release.number, release.former, release.generation) == (1, 0, 2)
    assert (release.checked, release.forced) == ("not checked", False)
    assert (release.embeddings_adapter, release.why) == ("near@000001", "medical questions")
    assert len(fakes.check(kb)) == 10
    assert kb.embeddings.turn == 1
    [estimate] = estimates
    assert (estimate.texts, estimate.embedded, estimate.measured) == (2, 8, 8)
    assert estimate.seconds >= 0
    assert told[:2] == [("embed", 0, 10), ("embed", 4, 10)]
    assert told[-1] == ("index", 10, 10)
    assert generations(kb) == ["000001", "000002"]
    assert not list(kb.folder.glob("reembedding*"))
    assert kb_json(kb)["format"] == 2
    assert store.resolve("near").version == 1


def test_what_serves_already_is_given_back(kb):
    assert kb.promote("near@000001") == kb.promote("near@000001") == kb.promote("near")
    assert len(kb.releases()) == 2


def test_a_reader_sees_the_promotion_with_its_embedder(kb):
    reader = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())
    retriever = reader.retriever(k=3)
    before = [document.metadata["score"] for document in retriever.invoke("text 3")]
    kb.promote("near@000001")
    after = [document.metadata["score"] for document in retriever.invoke("text 3")]
    assert after == [pytest.approx(score, abs=1e-5) for score in before]
    fakes.check(reader)
    reader.close()


def test_a_search_that_began_ends_with_its_embedder(kb):
    """It embeds its query while another release is promoted, and gone back from."""
    embedding, promoted = threading.Event(), threading.Event()

    class Slow(HashEmbeddings):
        def embed_query(self, text):
            if text == "text 3" and not embedding.is_set():
                embedding.set()
                assert promoted.wait(20)
            return super().embed_query(text)

    reader = KnowledgeBase.open(kb.folder, embeddings=Slow())
    answers = []
    search = threading.Thread(target=lambda: answers.extend(reader.retriever(k=1).invoke("text 3")))
    search.start()
    assert embedding.wait(20)
    kb.promote("near@000001")
    fakes.check(reader)
    kb.rollback()
    fakes.check(reader)
    promoted.set()
    search.join()
    assert [document.page_content for document in answers] == ["text 3 apple"]
    assert answers[0].metadata["score"] > 0.8
    reader.close()


def test_what_is_ingested_after_a_promotion_has_the_new_embedder(kb):
    writer = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())  # before the promotion
    kb.promote("near@000001")
    writer.ingest_documents(rows("banana"))
    assert len(fakes.check(kb)) == 11
    assert (kb.release.number, kb.status().generation) == (1, 3)
    assert generations(kb) == ["000001", "000002", "000003"]  # the first one is kept to go back
    kb.ingest_documents(rows("cherry"))
    assert generations(kb) == ["000001", "000003", "000004"]
    writer.close()


def test_rollback_where_nothing_came_is_the_former_index(kb, monkeypatch):
    kb.promote("near@000001")
    embedded = count_embedded(monkeypatch)
    assert kb.rollback().number == kb.release.number == 0
    assert kb.status().generation == 1
    assert kb.promote("near@000001").number == 2
    assert kb.status().generation == 2
    assert embedded == []
    assert len(fakes.check(kb)) == 10
    kb.ingest_documents(rows("banana"))
    assert kb.status().generation == 3
    assert len(fakes.check(kb)) == 11


def test_rollback_brings_the_former_index_up_to_date(kb, monkeypatch):
    kb.promote("near@000001")
    kb.ingest_documents(rows("banana", "cherry"))
    kb.remove("text 1 apple")
    kb.ingest_documents([Document("text 2 apple", metadata={"source": "text 2 apple", "n": 2})])
    embedded = count_embedded(monkeypatch)
    assert kb.rollback().number == 0
    assert sorted(embedded) == ["banana", "cherry", "text 2 apple"]
    assert len(fakes.check(kb)) == 11
    assert kb.retriever(k=20, filter={"n": 2}).invoke("apple")[0].page_content == "text 2 apple"
    assert kb.status().chunks == {"indexed": 11}
    kb.ingest_documents(rows("plum"))
    assert len(fakes.check(kb)) == 12


def test_rollback_over_a_damaged_index_makes_it_anew(kb):
    kb.promote("near@000001")
    (kb.folder / "generations" / "000001" / "chroma" / "chroma.sqlite3").write_bytes(b"x" * 9999)
    kb.rollback()
    assert len(fakes.check(kb)) == 10
    assert kb.status().generation == 3


def test_back_by_two(kb):
    kb.promote("near@000001")
    kb.promote("near@000002")
    assert generations(kb) == ["000002", "000003"]
    assert kb.rollback().number == 1
    assert len(fakes.check(kb)) == 10
    assert kb.rollback().number == 0  # its index is gone: made anew
    assert len(fakes.check(kb)) == 10
    assert kb.promote("near@000002").number == 3
    assert [release.number for release in kb.releases()] == [3, 2, 1, 0]
    assert kb.release.former == 0


def test_back_from_an_adapter_that_is_gone(kb, store):
    kb.promote("near@000001")
    store.manifests.clear()
    again = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())
    with pytest.raises(AdapterNotFoundError):
        again.retriever().invoke("apple")
    again.rollback()
    assert len(fakes.check(again)) == 10
    again.close()


@pytest.mark.parametrize(("name", "kind"), [("ask", "queries"), ("legal", "generator")])
def test_promotion_without_new_vectors_is_a_flip(kb, name, kind, monkeypatch):
    embedded = count_embedded(monkeypatch)
    release = kb.promote(f"{name}@000001")
    assert (release.number, release.generation, embedded) == (1, 1, [])
    assert kb.release == release
    if kind == "generator":
        assert (release.generator, release.generator_adapter) == ("hf:tiny", "legal@000001")
        assert release.embeddings_adapter is None
    else:
        assert release.embeddings_adapter == "ask@000001"
        assert kb.embeddings.embed_query("a") != kb.embeddings.embed_documents(["a"])[0]
        with kb._live.current("vector") as live:
            assert live.vector.embeddings is kb.embeddings
    kb.ingest_documents(rows("banana"))
    fakes_ids = kb.retriever("bm25").invoke("banana")
    assert len(fakes_ids) == 1
    assert kb.rollback().number == 0
    assert len(fakes.check(kb)) == 11


def test_a_release_has_the_other_parts_of_the_former_one(kb):
    kb.promote("legal@000001", prompts={"rag": "Be brief."})
    release = kb.promote("near@000001")
    assert release.adapters == ["near@000001", "legal@000001"]
    assert release.prompts == {"rag": "Be brief."}
    assert kb.rollback().adapters == ["legal@000001"]


def test_thresholds_are_those_of_the_release(kb):
    kb.keep_weakness(Weakness(top_score=0.5))
    assert kb.promote("legal@000001").thresholds["top_score"] == 0.5
    assert kb.weakness == Weakness(top_score=0.5)
    kb.promote("near@000001")
    assert kb.weakness is None  # they were measured with another embedder
    kb.keep_weakness(Weakness(top_score=0.7))
    assert kb.weakness == Weakness(top_score=0.7)
    kb.rollback()
    assert kb.weakness == Weakness(top_score=0.5)


def test_another_base_for_the_embedder(kb, monkeypatch):
    monkeypatch.setattr(
        "langchain_graft.knowledge_base.embedders.load_embeddings", lambda _: HashEmbeddings(32)
    )
    assert kb.promote("other@000001").embeddings == "hash-32"
    assert len(fakes.check(kb)) == 10
    assert kb.graph._digest == "hash-64"  # names stay as they were embedded
    kb.rollback()
    assert len(fakes.check(kb)) == 10


def test_the_gate_sees_the_candidate_before_it_serves(kb):
    seen = []

    def gate(candidate):
        [found] = candidate.indexes.open("vector").as_retriever(k=1).invoke("text 3")
        seen.append((found.page_content, candidate.former.number, kb.release.number))
        return "nDCG@10 0.71, was 0.65"

    assert kb.promote("near@000001", gate=gate).checked == "nDCG@10 0.71, was 0.65"
    assert seen == [("text 3 apple", 0, 0)]


def test_what_fails_the_gate_does_not_serve_unless_forced(kb, monkeypatch):
    def gate(_):
        msg = "worse by 3 points"
        raise GateFailedError(msg)

    with pytest.raises(GateFailedError):
        kb.promote("near@000001", gate=gate)
    assert (kb.release.number, generations(kb)) == (0, ["000001"])
    embedded = count_embedded(monkeypatch)
    release = kb.promote("near@000001", gate=gate, force=True)
    assert (release.forced, release.checked) == (True, "failed: worse by 3 points")
    assert embedded == []  # the vectors were kept
    fakes.check(kb)


def test_an_estimate_can_stop_it(kb, monkeypatch):
    def stop(estimate):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kb.promote("near@000001", on_estimate=stop)
    assert kb.release.number == 0
    embedded = count_embedded(monkeypatch)
    kb.promote("near@000001")
    assert len(embedded) == 2


def test_chunks_on_their_way_are_in_the_release(kb, monkeypatch):
    """An ingestion was stopped after a batch; the promotion takes what it read."""

    def stop(label, done, total):
        if label == "embed" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kb.ingest_documents(rows(*(f"plum {n}" for n in range(9))), on_progress=stop)
    on_their_way = kb.status().chunks
    assert on_their_way["embedded"] == 4
    kb.promote("near@000001")
    assert len(fakes.check(kb)) == sum(on_their_way.values())
    assert kb.status().chunks == {"indexed": sum(on_their_way.values())}
    kb.ingest_documents(rows(*(f"plum {n}" for n in range(9))))
    assert len(fakes.check(kb)) == 19
    kb.rollback()
    assert len(fakes.check(kb)) == 19


def test_promotion_of_an_empty_one(tmp_path, store):
    kb = KnowledgeBase.create(tmp_path / "empty", embeddings=HashEmbeddings())
    kb.promote("near@000001")
    kb.ingest_documents(rows("apple"))
    assert len(fakes.check(kb)) == 1
    kb.rollback()
    assert len(fakes.check(kb)) == 1


def test_no_base_and_no_stranger_is_promoted(kb):
    with pytest.raises(ReleaseError, match="The base is no adapter"):
        kb.promote("base")
    with pytest.raises(AdapterNotFoundError):
        kb.promote("none@000009")
    assert kb.release.number == 0


def test_what_a_killed_promotion_left_is_no_release(kb):
    (kb.folder / "releases").mkdir()
    (kb.folder / "releases" / "000001.json").write_text("{")
    assert [release.number for release in kb.releases()] == [0]
    assert kb.promote("near@000001") == kb.release


def test_a_damaged_release_is_told(kb):
    kb.promote("near@000001")
    (kb.folder / "releases" / "000001.json").write_text('{"number": "one"}')
    with pytest.raises(ReleaseError, match="can not be read"):
        kb.releases()
    assert kb.retriever().invoke("apple")  # what serves stands in kb.json


def test_a_journal_of_a_time_without_releases(kb):
    with closing(sqlite3.connect(kb.folder / "journal.sqlite")) as database:
        database.executescript(
            "CREATE TABLE old(id TEXT PRIMARY KEY, source_id TEXT NOT NULL, ordinal INTEGER,"
            " text TEXT, embedded_text TEXT, metadata TEXT, state TEXT, vector BLOB -- float32\n);"
            "INSERT INTO old SELECT id, source_id, ordinal, text, embedded_text, metadata, state,"
            " vector FROM chunks; DROP TABLE chunks;"
            "ALTER TABLE old RENAME TO chunks"
        )
    assert kb.status().chunks == {"indexed": 10}
    kb.promote("near@000001")
    kb.ingest_documents(rows("banana"))
    kb.rollback()
    assert len(fakes.check(kb)) == 11


@pytest.mark.parametrize("changes", [{"release": "1"}, {"kept_generation": True}])
def test_a_value_of_the_wrong_kind_in_kb_json(kb, changes):
    kb.promote("near@000001")
    (kb.folder / "kb.json").write_text(json.dumps(kb_json(kb) | changes), "utf-8")
    with pytest.raises(KnowledgeBaseError, match="is damaged"):
        kb.status()


def count_embedded(monkeypatch):
    """The texts that are embedded as documents from now on."""
    embedded = []
    for kind in (HashEmbeddings, fakes.TurnedEmbeddings):
        original = kind.embed_documents

        def embed(self, texts, original=original):
            embedded.extend(texts)
            return original(self, texts)

        monkeypatch.setattr(kind, "embed_documents", embed)
    return embedded


def test_searches_during_promotions_meet_one_release_each(kb):
    """A text finds itself with a score of 1 unless query and passages have other embedders."""
    reader = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())
    retriever = reader.retriever(k=1)
    scores, ended = [], threading.Event()

    def search(number):
        while not ended.is_set():
            [found] = retriever.invoke(f"text {number} apple")
            scores.append(found.metadata["score"])

    threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(3):
        kb.promote("near@000001")
        kb.ingest_documents(rows(f"plum {turn}"))
        kb.promote("near@000002")
        kb.rollback()
        kb.rollback()
    ended.set()
    for thread in threads:
        thread.join()
    assert len(scores) > 50
    assert min(scores) > 0.999
    reader.close()


def test_a_name_alone_is_its_newest_version(kb):
    for version in ("000001", "000002"):
        (kb.folder / "adapters" / "near" / version).mkdir(parents=True)
    assert kb.promote("near").embeddings_adapter == "near@000002"
    assert kb.rollback().embeddings_adapter is None
    assert kb.promote("near").embeddings_adapter == "near@000002"
