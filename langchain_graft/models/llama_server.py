"""A llama.cpp server in a child process: started when first asked, stopped with its parent."""

from __future__ import annotations

import atexit
import json
import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TextIO

from langchain_graft.errors import MissingExtraError, ModelServerError

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from pathlib import Path

START_TIMEOUT_SECONDS = 180.0
STOP_TIMEOUT_SECONDS = 5.0
ANSWER_TIMEOUT_SECONDS = 60.0
HOST = "127.0.0.1"
MOST_STARTS = 3
STARTS_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class LlamaSettings:
    """How llama.cpp runs a model."""

    context_tokens: int = 4096
    """Tokens of prompt and answer together, per slot."""
    parallel: int = 1
    """Slots: requests that are answered at the same time, each with its own context."""
    threads: int | None = None
    """None: one per physical core."""
    gpu_layers: int = -1
    """Layers on the GPU, where the installed xllamacpp has one; -1: all that fit."""

    def __post_init__(self) -> None:
        for name in ("context_tokens", "parallel"):
            if getattr(self, name) < 1:
                msg = f"{name} must be 1 or more, not {getattr(self, name)!r}"
                raise ValueError(msg)


class LlamaServer:
    """One model served on loopback behind a random key.

    The child process is started by the first `ensure_running`, started again when it has died, and
    ends with this process, also when that is killed: it watches the pipe that it was started with.
    Use `shared_server`, so that one process has one server per model and settings.
    """

    def __init__(self, model: Path, settings: LlamaSettings) -> None:
        self.model = model
        self.settings = settings
        self.api_key = secrets.token_urlsafe(24)
        self._client = httpx.Client(  # it keeps no connection, so that there is none to close
            trust_env=False,
            timeout=ANSWER_TIMEOUT_SECONDS,
            headers={"Authorization": f"Bearer {self.api_key}"},
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self._starts: deque[float] = deque(maxlen=MOST_STARTS)
        self._log: TextIO | None = None
        self._last_words = ""

    @property
    def pid(self) -> int | None:
        """The child's process id, None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def ensure_running(self) -> int:
        """Start the server if it does not run.

        Returns:
            Its port on `HOST`.

        Raises:
            ModelServerError: It does not start, or keeps dying; the message has its last words.
        """
        with self._lock:
            if self.pid is None:
                self._check_starts()
                self._start()
            return self._port

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """What the server answers to JSON, as JSON; it is started if need be."""
        answer = self._client.post(f"http://{HOST}:{self.ensure_running()}{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def stop(self) -> None:
        """End the child process; a later `ensure_running` starts it again."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._last_words = self.last_words()
        for stream in (process.stdin, process.stdout, self._log):
            if stream:
                stream.close()

    def last_words(self) -> str:
        """The end of what the child wrote to its log."""
        if self._log is None or self._log.closed:
            return self._last_words
        self._log.seek(0)
        return "".join(self._log.readlines()[-8:]).strip()

    def _check_starts(self) -> None:
        now = time.monotonic()
        if len(self._starts) == MOST_STARTS and now - self._starts[0] < STARTS_WINDOW_SECONDS:
            msg = (
                f"The server of {self.model.name!r} died {MOST_STARTS} times within a minute. "
                "Is there enough memory? Try a smaller context_tokens or model. Its last words:\n"
                f"{self.last_words()}"
            )
            raise ModelServerError(msg)
        self._starts.append(now)

    def _start(self) -> None:
        self.stop()
        self._owner = os.getpid()  # a forked process may start one of its own
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "langchain_graft.models.llama_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )
        order = {
            "model": str(self.model),
            "name": self.model.stem,
            "api_key": self.api_key,
            **asdict(self.settings),
        }
        port = _ask(self._process, json.dumps(order))
        if port is None:
            msg = (
                f"llama.cpp can not serve {str(self.model)!r}. Is it a GGUF model, and is there "
                f"memory for it? Its last words:\n{self.last_words()}"
            )
            self.stop()
            raise ModelServerError(msg)
        self._port = port


def _ask(process: subprocess.Popen[str], order: str) -> int | None:
    """Give the child its order; its port when it is ready, None when it failed or was too slow."""
    answers: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout  # noqa: S101
        for line in process.stdout:
            if line.startswith("port "):
                answers.put(line.removeprefix("port ").strip())
        answers.put("")

    assert process.stdin  # noqa: S101
    threading.Thread(target=read, daemon=True).start()
    try:
        process.stdin.write(order + "\n")
        process.stdin.flush()
        return int(answers.get(timeout=START_TIMEOUT_SECONDS))
    except (OSError, ValueError, queue.Empty):
        return None


_servers: dict[tuple[Path, LlamaSettings], LlamaServer] = {}
_servers_lock = threading.Lock()


def shared_server(model: Path, settings: LlamaSettings) -> LlamaServer:
    """This process's server for that model and settings; it is not started yet."""
    with _servers_lock:
        if (model, settings) not in _servers:
            _servers[model, settings] = LlamaServer(model, settings)
        return _servers[model, settings]


@atexit.register
def stop_servers() -> None:
    """Stop every server of this process."""
    with _servers_lock:
        for server in _servers.values():
            server.stop()
