"""The vector index on a Chroma server."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from chromadb.errors import InvalidArgumentError
from langchain_core.documents import Document

from langchain_graft.errors import DigestMismatchError
from langchain_graft.retrievers import Query, VectorIndex
from langchain_graft.retrievers.vector import ANSWER_TIMEOUT_SECONDS
from langchain_graft.testing import HashEmbeddings

START_SECONDS = 60.0


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("chroma"), free_port()
    command = [Path(sys.executable).with_name("chroma"), "run", "--path", folder]
    log = (folder / "log").open("w")
    with (
        log,
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        ) as server,
    ):
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
        server.terminate()


def answers(url):
    try:
        return httpx.get(f"{url}/api/v2/heartbeat", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def index(address, request):
    index = VectorIndex(HashEmbeddings(256), address, name=request.node.name)
    index.add(
        [
            Document(id="mac", page_content="The Macintosh has a mouse", metadata={"year": 1984}),
            Document(id="pc", page_content="The IBM PC has slots", metadata={"tags": ["a", None]}),
            Document(id="zh", page_content="麦金塔有一个鼠标", metadata={"lang": "zh"}),
        ]
    )
    yield index
    index.close()


def only(index, text):
    [[found]] = index.search_many([Query(text)], k=1)
    return found


def test_it_searches(index):
    [mouse, chinese] = index.search_many([Query("Macintosh mouse"), Query("鼠标")], k=1)
    assert (mouse[0].id, chinese[0].id) == ("mac", "zh")
    assert 0.5 < mouse[0].metadata["score"] <= 1


async def test_it_filters_sync_and_async(index):
    retriever = index.as_retriever(filter={"year": {"$gte": 1980}})
    assert [document.id for document in retriever.invoke("slots", k=3)] == ["mac"]
    found = await retriever.ainvoke("slots", filter={"lang": "zh"})
    assert found == []


def test_it_replaces_and_deletes(index):
    index.add([Document(id="mac", page_content="no mouse", metadata={"new": True})])
    [[found]] = index.search_many([Query("no mouse")], k=1)
    assert found.metadata == {"new": True, "score": pytest.approx(1)}
    index.delete(["mac", "pc"])
    assert index.ids() == {"zh"}


def test_a_replacement_that_fails_loses_nothing(index):
    before = only(index, "IBM PC slots")
    new = Document(id="pc", page_content="new")
    with pytest.raises(InvalidArgumentError):
        index.add([new], vectors=[[1.0]])
    assert only(index, "IBM PC slots") == before


def test_waits_for_the_server_are_bounded(index):
    assert index._client._server._session.timeout.read == ANSWER_TIMEOUT_SECONDS


def test_metadata_comes_back(index):
    [[found]] = index.search_many([Query("IBM PC slots")], k=1)
    assert found.metadata["tags"] == ["a", None]


def test_it_belongs_to_its_embedder(index, address, request):
    again = VectorIndex(HashEmbeddings(256), address, name=request.node.name)
    assert len(again) == 3
    again.close()
    with pytest.raises(DigestMismatchError):
        VectorIndex(HashEmbeddings(128), address, name=request.node.name)
