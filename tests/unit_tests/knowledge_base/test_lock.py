"""One writer at a time."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from langchain_graft.errors import KnowledgeBaseLockedError
from langchain_graft.knowledge_base.lock import current_writer, writing

HOLD = """
import sys
from pathlib import Path
from langchain_graft.knowledge_base.lock import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_writes(tmp_path, holder):
    with pytest.raises(KnowledgeBaseLockedError) as caught, writing(tmp_path):
        pass
    assert f"process {holder.pid} on {os.uname().nodename} since 20" in caught.value.holder
    assert "Wait until it is done; reading goes on meanwhile" in str(caught.value)
    assert current_writer(tmp_path) == caught.value.holder


def test_the_lock_of_a_killed_process_is_free(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "writer.json").exists()
    assert current_writer(tmp_path) is None
    with writing(tmp_path):
        assert f"process {os.getpid()} " in str(current_writer(tmp_path))
    assert not (tmp_path / "writer.json").exists()


def test_a_second_thread_is_a_second_writer(tmp_path):
    refused = []

    def second():
        try:
            with writing(tmp_path):
                pass
        except KnowledgeBaseLockedError as error:
            refused.append(error)

    with writing(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_it_is_freed_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), writing(tmp_path):
        raise RuntimeError
    with writing(tmp_path):
        pass


def test_a_note_that_can_not_be_read_leaves_the_holder_unnamed(tmp_path, holder):
    (tmp_path / "writer.json").write_text("{", encoding="utf-8")
    assert current_writer(tmp_path) == "another process"


def test_who_asks_for_the_writer_never_stands_in_its_way(tmp_path):
    """`graft status` looks at the lock; a writer that begins in this moment is not refused."""
    end = time.monotonic() + 1.0

    def ask():
        while time.monotonic() < end:
            current_writer(tmp_path)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        with writing(tmp_path):
            pass
    for thread in threads:
        thread.join()
