"""The pool in a process that was forked from one that used it."""

import os
import subprocess
import sys

import pytest

FORK = """
import os, signal
from langchain_graft.models.compute import compute_pool
assert compute_pool() is compute_pool()
assert compute_pool().submit(int, "7").result() == 7
pid = os.fork()
if pid == 0:
    signal.alarm(10)
    os._exit(compute_pool().submit(int, "7").result())
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_has_threads_of_its_own():
    ran = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == "7\n"
