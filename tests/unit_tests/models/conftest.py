"""A server of files on loopback: the hub and the package registry of the tests."""

from __future__ import annotations

import io
import re
import threading
import time
import zipfile
from collections import defaultdict
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from langchain_graft.models import download
from langchain_graft.models.catalogue import CATALOGUE, CatalogueModel, ModelFile


class FileServer:
    """Serves `files` by path, also from the middle; `faults` are what goes wrong, call by call.

    A fault is a status code, or "cut": half of what was promised, then the connection is closed.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.kinds: dict[str, str] = {}
        self.faults: dict[str, list[int | str]] = defaultdict(list)
        self.asked: list[tuple[str, str | None]] = []
        self.takes_ranges = True
        self.delay_seconds = 0.0
        self.password: str | None = None
        self.url = ""

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def put_wheel(self, project: str, version: str, members: dict[str, bytes]) -> None:
        """Publish a wheel on the registry's page of the project."""
        name = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
        wheel = io.BytesIO()
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in members.items():
                archive.writestr(path, content)
        self.files[f"/wheels/{name}"] = wheel.getvalue()
        page = self.files.get(f"/simple/{project}/", b"<!DOCTYPE html><html><body>")
        self.files[f"/simple/{project}/"] = page + f'<a href="/wheels/{name}">{name}</a>'.encode()
        self.kinds[f"/simple/{project}/"] = "text/html"


def handler_of(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            span = self.headers.get("Range")
            server.asked.append((self.path, span))
            time.sleep(server.delay_seconds)
            fault = server.faults[self.path].pop(0) if server.faults[self.path] else None
            if server.password and server.password not in self.headers.get("Authorization", ""):
                self.send_error(401)
            elif isinstance(fault, int):
                self.send_error(fault)
            elif self.path not in server.files:
                self.send_error(404)
            else:
                self.send_content(server.files[self.path], span, cut=fault == "cut")

        def send_content(self, content: bytes, span: str | None, *, cut: bool) -> None:
            start = int(re.findall(r"\d+", span)[0]) if span and server.takes_ranges else 0
            if start and start >= len(content):
                self.send_error(416)
                return
            rest = content[start:]
            self.send_response(206 if start else 200)
            self.send_header(
                "Content-Type", server.kinds.get(self.path, "application/octet-stream")
            )
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: len(rest) // 2] if cut else rest)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextmanager
def running(server: FileServer):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(server)) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        http.shutdown()
        thread.join()


@pytest.fixture
def server():
    with running(FileServer()) as server:
        yield server


@pytest.fixture
def nobody():
    """An address at which nobody answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        port = http.server_port
    return f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits between attempts are short."""
    monkeypatch.setattr(download, "RETRY_SECONDS", 0.001)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LANGCHAIN_GRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def sources(server, cache, monkeypatch):
    """Hub and registry are the server; nothing else is asked."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.url}/simple/")
    return server


@pytest.fixture
def list_model(monkeypatch):
    """Puts a model of those files into the catalogue: path to content and sources."""

    def put(name="tiny", **files):
        entries = tuple(
            ModelFile(
                path=path.replace("_", "."),
                size=len(content),
                sha256=sha256(content).hexdigest(),
                sources=tuple(sources),
            )
            for path, (content, *sources) in files.items()
        )
        model = CatalogueModel(
            name=name,
            kind="chat",
            engine="llama.cpp",
            licence="CC0-1.0",
            languages="none",
            description="bytes",
            files=entries,
        )
        monkeypatch.setitem(CATALOGUE, name, model)
        return model

    return put
