"""One file over HTTP: whole, resumed, refused, broken off."""

import socket
import threading
import time
from contextlib import ExitStack
from hashlib import sha256

import pytest

from langchain_graft.errors import DownloadError
from langchain_graft.models import download
from langchain_graft.models.download import Cancelled, HostUnreachableError, fetch

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def served(server):
    server.files["/file"] = CONTENT
    return server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file"


@pytest.fixture
def part(tmp_path):
    return tmp_path / "file.part"


class Fetcher:
    def __init__(self):
        self.counted = []
        self.cancelled = threading.Event()

    def __call__(self, url, target):
        fetch(url, target, on_bytes=self.counted.append, cancelled=self.cancelled)


@pytest.fixture
def get():
    return Fetcher()


def test_a_file_comes_whole(server, target, part, get):
    get(f"{server.url}/file", target)
    assert target.read_bytes() == CONTENT
    assert sum(get.counted) == len(CONTENT)
    assert not part.exists()


def test_a_part_is_gone_on_with(server, target, part, get):
    part.write_bytes(CONTENT[:1000])
    get(f"{server.url}/file", target)
    assert target.read_bytes() == CONTENT
    assert server.asked == [("/file", "bytes=1000-")]
    assert sum(get.counted) == len(CONTENT)


def test_a_server_without_ranges_sends_it_all_again(server, target, part, get):
    server.takes_ranges = False
    part.write_bytes(b"old" * 100)
    get(f"{server.url}/file", target)
    assert target.read_bytes() == CONTENT
    assert sum(get.counted) == len(CONTENT)


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_a_part_that_is_too_long_is_dropped(server, target, part, get, extra):
    part.write_bytes(CONTENT + extra)
    get(f"{server.url}/file", target)
    assert target.read_bytes() == CONTENT
    assert sum(get.counted) == len(CONTENT)


def test_a_broken_transfer_goes_on_where_it_broke(server, target, get, monkeypatch):
    monkeypatch.setattr(download, "_BLOCK", 512)  # what came of a block that broke is lost
    server.faults["/file"] = ["cut", "cut"]
    get(f"{server.url}/file", target)
    assert target.read_bytes() == CONTENT
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    spans = [None, f"bytes={half}-", f"bytes={half + quarter}-"]
    assert server.asked == [("/file", span) for span in spans]
    assert sum(get.counted) == len(CONTENT)


def test_a_transfer_that_always_breaks_is_given_up_and_kept(server, target, part, get):
    server.faults["/file"] = ["cut"] * download.ATTEMPTS
    with pytest.raises(DownloadError, match="/file"):
        get(f"{server.url}/file", target)
    assert not target.exists()
    assert CONTENT.startswith(part.read_bytes())
    get(f"{server.url}/file", target)
    assert target.read_bytes() == CONTENT


def test_a_server_in_trouble_is_asked_again(server, target, get):
    server.faults["/file"] = [500, 503]
    get(f"{server.url}/file", target)
    assert target.read_bytes() == CONTENT


def test_a_server_that_stays_in_trouble(server, target, get):
    server.faults["/file"] = [500] * 9
    with pytest.raises(DownloadError, match="HTTP 500"):
        get(f"{server.url}/file", target)
    assert len(server.asked) == download.ATTEMPTS


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_final(server, target, get, status):
    server.faults["/file"] = [status]
    with pytest.raises(DownloadError, match=f"HTTP {status}"):
        get(f"{server.url}/file", target)
    assert len(server.asked) == 1
    assert not target.exists()


def test_nobody_answers(nobody, target, get):
    with pytest.raises(HostUnreachableError, match="no connection"):
        get(f"{nobody}/file", target)


@pytest.fixture
def silent(monkeypatch):
    """A host of two addresses whose queues are full: connections wait."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listening.getsockname()[1]
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(("127.0.0.1", port))
        place = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [place, place])
        yield f"http://silent.test:{port}/file"


def test_a_silent_host_is_waited_for_once(silent, target, get, monkeypatch):
    monkeypatch.setattr(download, "CONNECT_TIMEOUT_SECONDS", 2.0)
    started = time.monotonic()
    with pytest.raises(HostUnreachableError, match="no connection"):
        get(silent, target)
    assert time.monotonic() - started < download.CONNECT_TIMEOUT_SECONDS + 1


def test_the_addresses_of_a_host_share_its_time(nobody, monkeypatch):
    assert download.seconds_per_address(nobody) == download.CONNECT_TIMEOUT_SECONDS
    assert download.seconds_per_address("http://no.such.host.test") > 0
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [None] * 40)
    assert download.seconds_per_address("http://many.test") == 1


def test_a_cancelled_download_keeps_its_part(server, target, part, get):
    part.write_bytes(CONTENT[:1000])
    get.cancelled.set()
    with pytest.raises(Cancelled):
        get(f"{server.url}/file", target)
    assert part.read_bytes() == CONTENT[:1000]
    assert not target.exists()


def test_a_folder_that_can_not_be_written(server, tmp_path, get):
    with pytest.raises(DownloadError, match=r"Can not write .* LANGCHAIN_GRAFT_CACHE"):
        get(f"{server.url}/file", tmp_path / "missing" / "file")


def test_there_is_no_room(tmp_path):
    download.require_space(tmp_path, 1)
    with pytest.raises(DownloadError, match="Free some space"):
        download.require_space(tmp_path, 10**18)


def test_sha256_of_a_file(target):
    target.write_bytes(CONTENT)
    assert download.sha256_of(target) == sha256(CONTENT).hexdigest()
