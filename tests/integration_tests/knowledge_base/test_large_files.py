"""Large files: within the limits they are read in bounded memory, above them they are refused."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from langchain_graft.knowledge_base import IngestSettings
from langchain_graft.knowledge_base.reading import Chunker
from langchain_graft.models.tokens import TokenCounter

PARAGRAPH = (
    "The machine of number {n} was built in the garage, and Mr. Smith sold it. It had 4 kilobytes "
    "of memory, a keyboard, and a case of wood.\n\n"
)


def large(path, megabytes):
    with path.open("w", encoding="utf-8") as file:
        for number in range(megabytes * 1_000_000 // len(PARAGRAPH)):
            file.write(PARAGRAPH.format(n=number))
    return path


def read_alone(path, **settings):
    """What a reading process answers, its peak memory in MB, and its seconds."""
    chunker = Chunker(settings=IngestSettings(**settings), counter=TokenCounter())
    order = {"path": str(path), "settings": chunker.settings.to_json(), "counter": {}}
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "langchain_graft.knowledge_base.read_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return answer, int(peak) // 1000, time.monotonic() - started


def test_200_mb_of_text_are_refused_with_a_clear_limit(tmp_path, record_property):
    path = large(tmp_path / "a.txt", 200)
    answer, megabytes, seconds = read_alone(path)
    record_property("peak_mb", megabytes)
    assert "million characters of text, more than the limit of 50. Split it" in answer["error"]
    assert seconds < 60
    assert megabytes < 1_000


def test_a_file_above_the_limit_of_files_is_not_even_read(tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    os.truncate(path, 600_000_000)
    answer, megabytes, _ = read_alone(path)
    assert "it has 600 MB, more than the limit of 500. Split it" in answer["error"]
    assert megabytes < 200


def test_20_mb_of_text_are_read_in_bounded_memory(tmp_path):
    answer, megabytes, seconds = read_alone(large(tmp_path / "a.txt", 20))
    assert len(answer["chunks"]) > 20_000
    assert seconds < 60
    assert megabytes < 1_000


INGEST = """
import sys
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings
kb = KnowledgeBase.create(sys.argv[2], embeddings=HashEmbeddings())
report = kb.ingest(sys.argv[1])
assert report.failed == {}
assert report.chunks > 4_000
assert kb.status().chunks == {"indexed": report.chunks}
assert "number 7777 " in kb.retriever("bm25", k=1).invoke("7777")[0].page_content
kb.close()
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1000)
"""


def test_4_mb_are_ingested(tmp_path):
    """In a process of its own: what other tests held is not counted, as `ru_maxrss` does."""
    path = large(tmp_path / "a.txt", 4)
    command = [sys.executable, "-c", INGEST, str(path), str(tmp_path / "kb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2_000
