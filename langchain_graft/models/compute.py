"""One bounded pool for work that keeps a processor busy inside an async call."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache


@cache
def compute_pool() -> ThreadPoolExecutor:
    """The process's pool, as many threads as processors."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="graft-compute")
