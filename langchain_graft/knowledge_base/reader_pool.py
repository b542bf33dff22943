"""Reading processes: several files at once, each bounded in time, a crash costs one file."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.reading import Chunker, Read, ReadChunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from langchain_graft.knowledge_base.sources import FileSource

MOST_PROCESSES = 8


class ReaderPool:
    """Reads files in processes of their own; a context manager.

    Args:
        chunker: How files are read and cut.
        processes: How many; None: one per processor, at most `MOST_PROCESSES`.
    """

    def __init__(self, chunker: Chunker, *, processes: int | None = None) -> None:
        self._chunker = chunker
        self._count = min(processes or os.cpu_count() or 1, MOST_PROCESSES)
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="graft-read")
        self._processes = [_ReadProcess(chunker) for _ in range(self._count)]
        self._idle: queue.SimpleQueue[_ReadProcess] = queue.SimpleQueue()
        for process in self._processes:
            self._idle.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.kill()  # who leaves early does not wait for a file that takes its time
        self._threads.shutdown()
        for process in self._processes:
            process.stop()

    def read_all(
        self, sources: Iterable[FileSource]
    ) -> Iterator[tuple[FileSource, Read | SourceError]]:
        """Each file with its chunks or with why it can not be read, in the order they are done.

        No more files are under way than twice the processes, so that memory stays bounded.
        """
        waiting = iter(sources)
        running: dict[Future[Read], FileSource] = {}
        try:
            while True:
                for source in itertools.islice(waiting, 2 * self._count - len(running)):
                    running[self._threads.submit(self._read, source)] = source
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), _result(future)
        finally:
            for future in running:
                future.cancel()

    def _read(self, source: FileSource) -> Read:
        process = self._idle.get()
        try:
            return process.read(source)
        finally:
            self._idle.put(process)


def _result(future: Future[Read]) -> Read | SourceError:
    try:
        return future.result()
    except SourceError as error:
        return error


class _ReadProcess:
    """One child; started when needed, killed when it takes too long, replaced when it died."""

    def __init__(self, chunker: Chunker) -> None:
        self._chunker = chunker
        self._process: subprocess.Popen[str] | None = None
        self._starting = threading.Lock()
        self._may_start = True

    def read(self, source: FileSource) -> Read:
        answer = self._ask(
            {
                "path": source.origin,
                "settings": self._chunker.settings.to_json(),
                "counter": asdict(self._chunker.counter),
            }
        )
        if "error" in answer:
            raise SourceError(answer["error"])
        return Read(**{**answer, "chunks": [ReadChunk(**chunk) for chunk in answer["chunks"]]})

    def kill(self) -> None:
        """Give up what is being read, from another thread; nothing is read any more."""
        with self._starting:
            self._may_start = False
            if self._process:
                self._process.kill()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with suppress(OSError):  # what was not sent any more
                        pipe.close()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        process = self._started()
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        seconds = self._chunker.settings.read_timeout_seconds
        timer = threading.Timer(seconds, give_up)
        timer.start()
        try:
            line = _exchange(process, json.dumps(order))
        finally:
            timer.cancel()
        if not line.endswith("\n"):
            self.stop()
            msg = (
                f"reading it took more than {seconds} s and was given up"
                if late.is_set()
                else "it crashed its reader, or there was not enough memory. Is it damaged?"
            )
            raise SourceError(msg)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _started(self) -> subprocess.Popen[str]:
        with self._starting:
            if self._process is None or self._process.poll() is not None:
                self.stop()
                self._process = self._start()
            return self._process

    def _start(self) -> subprocess.Popen[str]:
        if not self._may_start:
            msg = "reading was given up"
            raise SourceError(msg)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "langchain_graft.knowledge_base.read_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )


def _exchange(process: subprocess.Popen[str], order: str) -> str:
    """The child's answer to an order; '' or half a line when it is gone."""
    if process.stdin is None or process.stdout is None:
        return ""
    try:
        process.stdin.write(order + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except OSError:
        return ""
