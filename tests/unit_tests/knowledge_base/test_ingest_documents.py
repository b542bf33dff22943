"""Documents of LangChain loaders, and BEIR folders."""

import json

import pytest
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base import IngestSettings, KnowledgeBase
from langchain_graft.testing import HashEmbeddings


class RowLoader(BaseLoader):
    def __init__(self, *rows, fail_at=None):
        self.rows = rows
        self.fail_at = fail_at

    def lazy_load(self):
        for number, (source, text) in enumerate(self.rows):
            if number == self.fail_at:
                raise ConnectionError(source)
            yield Document(text, metadata={"source": source, "language": "en"})


def test_a_loaders_documents_can_be_found(kb, texts):
    report = kb.ingest_documents(RowLoader(("a", "apple"), ("b", "banana"), ("a", "apricot")))
    assert (report.added, report.chunks) == (2, 2)
    assert texts() == {"a": ["apple\n\napricot"], "b": ["banana"]}
    (found,) = kb.retriever("bm25").invoke("banana")
    found.metadata.pop("score")
    assert found.metadata == {"source": "b", "source_id": "b", "language": "en", "title": ""}


def test_only_what_changed_is_done_again(kb):
    kb.ingest_documents(RowLoader(("a", "apple"), ("b", "banana")))
    report = kb.ingest_documents(RowLoader(("a", "apple"), ("b", "blueberry"), ("c", "cherry")))
    assert (report.unchanged, report.changed, report.added, report.chunks) == (1, 1, 1, 2)


def test_under_a_name_what_is_gone_is_removed(kb, texts):
    kb.ingest_documents(RowLoader(("x", "other")))
    kb.ingest_documents(RowLoader(("a", "apple"), ("b", "banana")), root="fruit")
    report = kb.ingest_documents(RowLoader(("b", "banana")), root="fruit")
    assert (report.removed, report.unchanged) == (1, 1)
    assert set(texts()) == {"x", "b"}


def test_a_loader_that_fails_half_way_changes_nothing_and_can_be_asked_again(kb, texts):
    kb.ingest_documents(RowLoader(("a", "apple"), ("b", "banana")), root="fruit")
    rows = [("a", "apple"), ("c", "cherry"), ("d", "date")]
    with pytest.raises(ConnectionError, match="d"):
        kb.ingest_documents(RowLoader(*rows, fail_at=2), root="fruit")
    assert set(texts()) == {"a", "b"}
    assert kb.status().writer is None
    report = kb.ingest_documents(RowLoader(*rows), root="fruit")
    assert (report.unchanged, report.added, report.removed) == (1, 2, 1)


def test_a_generator_of_documents(kb, texts):
    kb.ingest_documents(Document(f"text {n}", id=str(n)) for n in range(3))
    assert texts() == {str(n): [f"text {n}"] for n in range(3)}


def test_metadata_of_any_kind_is_kept_where_it_can_be(kb):
    document = Document(
        "smile \ud83d apple",
        metadata={"source": "a\udcff", "year": 1984, "tags": ["x"], "by": "me \udc00", "ok": True},
    )
    assert kb.ingest_documents([document]).failed == {}
    (found,) = kb.retriever("bm25", filter={"year": {"$lt": 1985}, "ok": True}).invoke("apple")
    assert found.page_content == "smile  apple"
    assert found.metadata["by"] == "me"
    assert found.metadata["source_id"] == "a\\xff"
    assert "tags" not in found.metadata


def test_a_document_without_text_or_with_too_much_is_a_failure(tmp_path):
    kb = KnowledgeBase.create(
        tmp_path / "kb", embeddings=HashEmbeddings(), settings=IngestSettings(max_text_mb=1)
    )
    rows = RowLoader(("a", "apple"), ("empty", "  \n"), ("long", "word " * 300_000))
    report = kb.ingest_documents(rows)
    assert (report.added, report.chunks) == (1, 1)
    assert report.failed["empty"].startswith("it holds no text")
    assert "more than the limit of 1. Split it" in report.failed["long"]
    assert kb.status().failures == report.failed
    kb.close()


def test_a_document_that_can_not_be_known_again_is_refused(kb, texts):
    with pytest.raises(SourceError, match="to be known again"):
        kb.ingest_documents([Document("apple")])
    assert texts() == {}


def test_a_beir_folder(kb, tmp_path, texts):
    corpus = tmp_path / "corpus.jsonl"
    lines = [
        {"_id": "1", "title": "苹果", "text": "苹果公司在车库里成立"},
        {"_id": "2", "title": "", "text": "香蕉是一种水果"},
    ]
    corpus.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    assert kb.ingest_beir(tmp_path).added == 2
    assert texts() == {"1": ["苹果公司在车库里成立"], "2": ["香蕉是一种水果"]}
    assert kb.retriever("bm25").invoke("苹果")[0].metadata["title"] == "苹果"
    corpus.write_text(json.dumps(lines[0]), encoding="utf-8")
    report = kb.ingest_beir(tmp_path)
    assert (report.unchanged, report.removed) == (1, 1)


def test_a_question_is_searched_and_its_answer_comes_back(kb, write):
    kb.ingest(
        write("qa.csv", "问题,答案\n谁创办了苹果公司？,乔布斯和沃兹。\n"),
        write("qa.jsonl", '{"question": "什么是五笔字型？", "answer": "王永民的输入法。"}'),
    )
    for kind in ("vector", "bm25"):
        found = kb.retriever(kind, k=1).invoke("五笔字型是什么？")[0]
        assert found.page_content == "王永民的输入法。"
        assert found.metadata["question"] == "什么是五笔字型？"
        assert found.metadata["row"] == 1


def test_half_characters_anywhere_are_left_out(kb):
    half = "\ud83d"
    told = {"source": f"a{half}", "title": f"T{half}", f"k{half}": "v", "language": half}
    assert kb.ingest_documents([Document(f"apple {half}", metadata=told)]).failed == {}
    (found,) = kb.retriever().invoke("apple")
    assert (found.page_content, found.metadata["title"], found.metadata["k"]) == ("apple", "T", "v")
    assert found.metadata["source_id"] == "a"
