"""`graft ingest`, `remove`, `status`: what is written, what is left when it is interrupted."""

import gzip
import json
import signal
import subprocess
import time

import pytest

from langchain_graft.errors import GraftError
from langchain_graft.knowledge_base import read_status


def test_status_shows_what_was_ingested(filled):
    status = filled.json("status", "--kb", "kb")
    assert status["documents"] == {"ready": 3}
    assert status["chunks"]["indexed"] >= 3
    assert status["embeddings"] == "e5-multilingual"
    assert "e5-multilingual" in filled("status", "--kb", "kb").stdout


def test_a_folder_is_brought_up_to_date_and_documents_are_removed(graft, documents):
    own = graft.folder / "documents"
    own.mkdir()
    for path in documents.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    (own / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (own / "tool.exe").write_bytes(b"MZ")

    report = graft.json("ingest", own, "--kb", "kb", code=3)
    assert (report["added"], set(report["failed"])) == (3, {"broken.pdf"})
    assert report["skipped"] == {".exe": 1}
    assert "broken.pdf" in graft("status", "--kb", "kb").stdout

    (own / "broken.pdf").unlink()
    (own / "altair.txt").write_text("The Altair cost 439 dollars.", encoding="utf-8")
    done = graft("ingest", own, "--kb", "kb")
    assert "1 changed" in done.stdout
    assert "2 unchanged" in done.stdout

    report = graft.json("remove", "apple.md", "--kb", "kb")
    assert report["removed"] == 1
    assert graft.json("status", "--kb", "kb")["documents"] == {"ready": 2}
    assert "'apple.md'" in graft("remove", "apple.md", "--kb", "kb", code=2).stderr


def test_other_settings_than_it_was_made_with_are_wrong_use(filled, documents):
    done = filled("ingest", documents, "--kb", "kb", "--embeddings", "minilm", code=2)
    assert "was made with embeddings='e5-multilingual'" in done.stderr
    assert done.stdout == ""


@pytest.fixture(scope="module")
def beir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beir")
    corpus = [
        {"_id": "d1", "title": "Apple", "text": "Apple was founded by Steve Jobs in 1976."},
        {"_id": "d2", "title": "Altair", "text": "The Altair 8800 was sold as a kit by MITS."},
        {"_id": "d3", "title": "Bread", "text": "Bread is baked from flour, water and yeast."},
    ]
    queries = [
        {"_id": "q1", "text": "Who founded Apple in 1976?"},
        {"_id": "q2", "text": "Which machine was a kit by MITS?"},
        {"_id": "q3", "text": "not judged"},
    ]
    with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in corpus)
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    (folder / "qrels").mkdir()
    (folder / "qrels/test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\nq1\td3\t0\n", encoding="utf-8"
    )
    return folder


def test_a_beir_folder_is_ingested_and_measured(graft, beir):
    assert graft.json("ingest", "--beir", beir, "--kb", "kb")["added"] == 3
    for retriever in ("vector", "bm25"):
        figures = graft.json("eval", "--beir", beir, "--kb", "kb", "--retriever", retriever)
        assert figures["questions"] == 2
        assert figures["retriever"] == retriever
        means = {name: value["mean"] for name, value in figures["metrics"].items()}
        assert means == {"ndcg@10": 1.0, "recall@10": 1.0, "mrr@10": 1.0}


def test_an_interrupted_ingestion_is_130_and_the_next_one_goes_on(graft):
    folder = graft.folder / "many"
    folder.mkdir()
    for n in range(120):
        text = f"Machine {n} was built in {1900 + n}. " * 15
        (folder / f"{n}.txt").write_text(text, encoding="utf-8")
    running = graft.start(
        "ingest", folder, "--kb", "kb", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for_chunks(graft.folder / "kb")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=240)
    assert running.returncode == 130
    assert "run it again to go on" in err
    assert "Traceback" not in err
    assert out == ""

    kept = graft.json("status", "--kb", "kb")
    assert kept["writer"] is None
    assert 0 < sum(kept["documents"].values()) < 120

    report = graft.json("ingest", folder, "--kb", "kb")
    assert report["added"] + report["unchanged"] == 120
    assert report["failed"] == {}
    status = graft.json("status", "--kb", "kb")
    assert status["documents"] == {"ready": 120}
    assert set(status["chunks"]) == {"indexed"}


def wait_for_chunks(kb):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if read_status(kb).chunks:
                return
        except GraftError:
            pass  # not made yet
        time.sleep(0.02)
    pytest.fail("nothing was read in 90 s")
