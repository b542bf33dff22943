"""Neo4j's files from a Maven repository on this machine, with files of our own."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from langchain_graft.errors import DownloadError
from langchain_graft.graph import neo4j_jars
from langchain_graft.graph.neo4j_jars import pinned_versions, pull_neo4j, read_list

FILES = {"/org/a/a-1.jar": b"first" * 1000, "/org/b/b-1.jar": b"second"}


class Repository:
    """A Maven repository that counts what is asked of it."""

    def __init__(self):
        self.files = dict(FILES)
        self.asked = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                repository.asked.append(self.path)
                content = repository.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    repository = Repository()
    monkeypatch.setenv("LANGCHAIN_GRAFT_CACHE", str(tmp_path))
    monkeypatch.setenv("LANGCHAIN_GRAFT_MAVEN", repository.uri)
    lines = [
        f"{hashlib.sha1(content, usedforsecurity=False).hexdigest()} {len(content)} {path[1:]}\n"
        for path, content in FILES.items()
    ]
    (tmp_path / "neo4j").mkdir()
    (tmp_path / "neo4j/0.1.txt").write_text("".join(lines))
    yield repository
    repository.server.shutdown()
    repository.server.server_close()


def test_files_come_once_and_in_the_order_of_their_list(repository):
    told = []
    jars = pull_neo4j("0.1", on_progress=lambda *news: told.append(news))
    assert [jar.read_bytes() for jar in jars] == list(FILES.values())
    assert told[-1] == ("pull neo4j 0.1", 5006, 5006)
    asked = len(repository.asked)
    assert pull_neo4j("0.1") == jars
    assert len(repository.asked) == asked


def test_another_file_than_promised_is_not_used(repository, tmp_path):
    repository.files["/org/b/b-1.jar"] = b"sec0nd"
    with pytest.raises(DownloadError, match=r"has the sha1 .*, expected .* It was not used"):
        pull_neo4j("0.1")
    assert not list((tmp_path / "neo4j/jars").rglob("b-1.jar"))
    repository.files = dict(FILES)
    assert len(pull_neo4j("0.1")) == 2


def test_a_missing_file_is_told(repository):
    del repository.files["/org/a/a-1.jar"]
    with pytest.raises(DownloadError, match=r"a-1\.jar: HTTP 404"):
        pull_neo4j("0.1")


def test_two_that_pull_at_once_wait_for_each_other(repository):
    found = []
    threads = [threading.Thread(target=lambda: found.append(pull_neo4j("0.1"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert sorted(repository.asked) == sorted(FILES)


def test_the_tested_versions_are_pinned_by_sha256():
    assert {"2026.09.0", "5.26.28", "5.26.12"} <= set(pinned_versions())
    for version in pinned_versions():
        jars = neo4j_jars._pinned(version, ())
        assert len(jars) > 200
        assert all(len(jar.digest) == 64 and jar.size and jar.path.endswith(".jar") for jar in jars)
    with_apoc = {jar.path.split("/")[-1] for jar in neo4j_jars._pinned("5.26.12", ["apoc"])}
    assert {"apoc-core-5.26.12.jar", "neo4j-5.26.12.jar"} <= with_apoc
    assert neo4j_jars._pinned("2026.09.0", ["apoc"]) == []


def test_a_list_is_digest_size_and_path():
    jar = read_list("ab 12 org/x.jar\n\n")[0]
    assert (jar.digest, jar.size, jar.path) == ("ab", 12, "org/x.jar")
