"""Several processes on one folder."""

import json
import subprocess
import sys
import threading
import time

import pytest
from langchain_core.documents import Document

from langchain_graft.errors import KnowledgeBaseLockedError
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings

INGEST = """
import sys, time
from pathlib import Path
from langchain_graft.errors import KnowledgeBaseLockedError
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings

class Slow(HashEmbeddings):
    def embed_documents(self, texts):
        time.sleep(2)
        return super().embed_documents(texts)

kb = KnowledgeBase.open(Path(sys.argv[1]), embeddings=Slow())
print("ready", flush=True)
sys.stdin.readline()
try:
    print("added", kb.ingest(sys.argv[2]).added)
except KnowledgeBaseLockedError as error:
    print("refused", error)
"""


def started(script, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_of_two_ingestions_one_wins_and_the_other_is_told_who(kb, documents, write, texts):
    for number in range(5):
        write(f"{number}.md", f"text {number}")
    both = [started(INGEST, kb.folder, documents) for _ in range(2)]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = sorted((process.communicate()[0].strip(), process.pid) for process in both)
    (won, winner), (refused, _) = told
    assert won == "added 5"
    assert refused.startswith("refused Knowledge base")
    assert f"is being written by process {winner} on " in refused
    assert texts() == {f"{number}.md": [f"text {number}"] for number in range(5)}
    assert kb.ingest(documents).unchanged == 5


SEARCH = """
import json, sys, threading
from pathlib import Path
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings
kb = KnowledgeBase.open(Path(sys.argv[1]), embeddings=HashEmbeddings())
print("ready", flush=True)
end = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), end.set()), daemon=True).start()
seen = []
while not end.is_set():
    for kind in ("vector", "bm25"):
        found = kb.retriever(kind, k=50).invoke("apple state")
        seen.append(sorted(document.page_content for document in found))
print(json.dumps(seen))
"""


def state(number):
    """Twenty documents that all speak of the same state."""
    texts = [f"apple state{number} document{n}" for n in range(20)]
    rows = [Document(text, metadata={"source": str(n)}) for n, text in enumerate(texts)]
    for row in rows:
        row.metadata["language"] = "en"
    return rows


def whole_states(count):
    return [sorted(row.page_content for row in state(number)) for number in range(count)]


def test_readers_never_see_an_error_or_half_a_generation(kb):
    """Four threads here and another process search while five generations are published."""
    kb.ingest_documents(state(0), root="r")
    reader = KnowledgeBase.open(kb.folder, embeddings=HashEmbeddings())
    other = started(SEARCH, kb.folder)
    seen, errors, end = [], [], threading.Event()

    def search(kind):
        try:
            while not end.is_set():
                found = reader.retriever(kind, k=50).invoke("apple state")
                seen.append(sorted(document.page_content for document in found))
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=search, args=(kind,)) for kind in ("vector", "bm25") * 2]
    for thread in threads:
        thread.start()
    for number in range(1, 6):
        kb.ingest_documents(state(number), root="r")
        time.sleep(0.1)
    end.set()
    for thread in threads:
        thread.join()
    seen_there = json.loads(other.communicate("end\n")[0].splitlines()[-1])
    allowed = whole_states(6)
    assert errors == []
    assert [answer for answer in seen + seen_there if answer not in allowed] == []
    assert len({json.dumps(answer) for answer in seen}) > 1
    assert len(seen_there) > 1
    assert sorted(d.page_content for d in reader.retriever(k=50).invoke("apple")) == allowed[5]
    reader.close()


def test_status_and_reading_go_on_while_another_process_writes(kb, documents, write):
    kb.ingest_documents(state(0))
    write("a.md", "text")
    writer = started(INGEST, kb.folder, documents)
    writer.stdin.write("go\n")
    writer.stdin.flush()
    while (holder := kb.status().writer) is None:
        assert writer.poll() is None
    assert f"process {writer.pid} on" in holder
    with pytest.raises(KnowledgeBaseLockedError, match=f"process {writer.pid} on"):
        kb.remove("0")
    while writer.poll() is None:
        assert len(kb.retriever(k=50).invoke("apple")) >= 20
    assert writer.communicate()[0] == "added 1\n"
    assert kb.status().writer is None
    assert len(kb.retriever(k=50).invoke("apple")) == 21
