"""What an ingestion tells while it runs, and how it is cancelled."""

import threading
import time

import pytest
from langchain_core.documents import Document

from langchain_graft.knowledge_base import IngestSettings, KnowledgeBase, publishing
from langchain_graft.testing import HashEmbeddings


class CancelledError(Exception):
    pass


def test_every_step_is_told_from_nothing_to_all(kb, documents, write):
    for number in range(3):
        write(f"{number}.md", f"text {number}")
    told = []
    kb.ingest(documents, on_progress=lambda *event: told.append(event))
    assert [event for event in told if event[0] == "read"] == [("read", n, 3) for n in range(4)]
    assert [event for event in told if event[0] == "embed"] == [("embed", 0, 3), ("embed", 3, 3)]
    assert [event for event in told if event[0] == "index"] == [("index", 0, 3), ("index", 3, 3)]


@pytest.mark.parametrize("step", ["read", "embed", "index"])
def test_cancelled_in_any_step_it_goes_on_from_there(kb, documents, write, texts, step):
    for number in range(3):
        write(f"{number}.md", f"text {number}")

    def cancel(label, done, _):
        if label == step and done:
            raise CancelledError

    with pytest.raises(CancelledError):
        kb.ingest(documents, on_progress=cancel)
    assert texts() == {}
    assert kb.status().writer is None

    report = kb.ingest(documents)
    done_before = {"read": 1, "embed": 3, "index": 3}[step]
    assert report.unchanged == done_before
    assert report.chunks == (0 if step != "read" else 3)
    assert texts() == {f"{n}.md": [f"text {n}"] for n in range(3)}


def test_cancelling_does_not_wait_for_a_reader_that_hangs(
    tmp_path, documents, write, broken_pdf_library
):
    settings = IngestSettings(read_timeout_seconds=60)
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings=HashEmbeddings(), settings=settings)
    write("a.md", "text")
    write("hangs.pdf", "x")

    def cancel(label, done, _):
        if label == "read" and done:
            raise CancelledError

    started = time.monotonic()
    with pytest.raises(CancelledError):
        kb.ingest(documents, on_progress=cancel)
    assert time.monotonic() - started < 20
    assert not [t for t in threading.enumerate() if t.name.startswith("graft-read")]
    kb.close()


def test_an_embedder_that_fails_stops_the_run_and_loses_nothing(tmp_path, monkeypatch):
    class Failing(HashEmbeddings):
        calls = 0

        def embed_documents(self, texts):
            self.calls += 1
            if self.calls == 2:
                raise ConnectionError
            return super().embed_documents(texts)

    monkeypatch.setattr(publishing, "EMBED_BATCH", 4)
    embeddings = Failing()
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings=embeddings)
    rows = [Document(f"text {n}", metadata={"source": str(n), "language": "en"}) for n in range(10)]
    with pytest.raises(ConnectionError):
        kb.ingest_documents(rows)
    assert kb.status().chunks == {"embedded": 4, "pending": 4}
    report = kb.ingest_documents(rows)
    assert (report.unchanged, report.added, report.chunks) == (8, 2, 6)
    assert kb.status().chunks == {"indexed": 10}
    kb.close()
