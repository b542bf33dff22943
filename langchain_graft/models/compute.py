"""One bounded pool for work that keeps a processor busy inside an async call."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache


def compute_pool() -> ThreadPoolExecutor:
    """The process's pool, as many threads as processors."""
    return _pool_of(os.getpid())


@cache
def _pool_of(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001 (a forked process has no threads)
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="graft-compute")
