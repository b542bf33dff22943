"""`graft serve` and `graft mcp --http` as processes: they start, answer, and end when told to."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import openai
import pytest
from langchain_core.documents import Document
from mcp import Client

from langchain_graft.cli import main
from langchain_graft.graph import EmbeddedGraphStore, GraphDocument, Mention, Node, Relationship

SCRIPT = Path(__file__).with_name("scripted_graft.py")


@pytest.fixture
def folder(kb, write, documents):
    write("apple.md", "Apple was founded in April 1976.")
    kb.ingest(documents)
    return str(kb.folder)


@pytest.fixture
def start(folder):
    """Starts a command on a free port; gives the process and its address."""
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), folder, *arguments, "--port", "0"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        processes.append(process)
        for line in process.stderr:
            if found := re.search(r"http://\S+", line):
                return process, found[0], line
        pytest.fail("it ended without an address")

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def test_it_answers_until_it_is_interrupted(start):
    process, url, line = start("serve")
    assert "rag, rag-fusion, step-back, multi-step, self-rag, auto, embeddings" in line
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        question = {"role": "user", "content": "When was Apple founded?"}
        for model in ("rag", "rag-fusion", "step-back", "multi-step", "self-rag", "auto"):
            reply = client.chat.completions.create(model=model, messages=[question])
            assert "April 1976. [1]" in reply.choices[0].message.content
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_keys_come_from_the_environment_and_the_address_is_its_own(start, folder):
    key = "a-key-of-enough-characters"
    process, url, _ = start("serve", GRAFT_API_KEYS=key)
    with openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        assert client.with_options(api_key=key).models.list()
    port = url.rpartition(":")[2].partition("/")[0]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), folder, "serve", "--port", port],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"graft: Can not listen on 127.0.0.1:{port}" in done.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def with_graph(folder):
    """Three things that one passage ties together, in the knowledge base's own graph."""
    text = "Jobs founded Apple. Jobs founded NeXT. NeXT was bought by Apple."
    said = (Mention(chunk_id="c1", start=0, end=len(text), quote=text),)
    ties = [("Jobs", "FOUNDED", "Apple"), ("Jobs", "FOUNDED", "NeXT"), ("Apple", "BOUGHT", "NeXT")]
    document = GraphDocument(
        nodes=tuple(
            Node(id=name, label="Thing", name=name, mentions=said)
            for name in ("Jobs", "Apple", "NeXT")
        ),
        relationships=tuple(
            Relationship(source=one, target=other, type=type_, mentions=said)
            for one, type_, other in ties
        ),
        source=Document(id="c1", page_content=text),
    )
    with closing(EmbeddedGraphStore(Path(folder) / "graph.sqlite")) as store:
        store.add([document])


def test_chains_over_a_graph_are_asked_at_once(start, folder):
    with_graph(folder)
    _, url, line = start("serve")
    assert " graph, overview, auto, embeddings" in line
    question = {"role": "user", "content": "What are the main themes about Apple and Jobs?"}
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:

        def ask(model):
            reply = client.chat.completions.create(model=model, messages=[question])
            return reply.model_extra["graft"]

        with ThreadPoolExecutor(6) as pool:
            told = list(pool.map(ask, ["overview", "graph", "auto"] * 2))
    assert told[1]["paths"]
    assert told[1]["sources"]
    assert told[0] == told[3]
    assert told[1] == told[4]


async def test_tools_over_http(start):
    _, url, _ = start("mcp", "--http")
    async with Client(url) as client:
        result = await client.call_tool("ask", {"question": "When was Apple founded?"})
    assert "April 1976. [1]" in result.content[0].text


@pytest.mark.parametrize("command", [["serve"], ["mcp", "--http"]])
def test_others_need_a_key_and_no_model_is_loaded_before(command, capsys, tmp_path):
    assert main([*command, "--kb", str(tmp_path), "--host", "192.0.2.1"]) == 2
    assert "there is no API key: set GRAFT_API_KEYS" in capsys.readouterr().err
