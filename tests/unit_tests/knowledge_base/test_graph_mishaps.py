"""A graph's building on a full disk and with a model that hangs: told, nothing lost, gone on."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from langchain_graft.errors import GraftError, GraphError, KnowledgeBaseError
from langchain_graft.graph.embedded_file import GraphFile
from langchain_graft.knowledge_base import journal
from langchain_graft.models import load_chat_model
from langchain_graft.testing import ScriptedChatModel

FACT = re.compile(r"(\w+) founded (\w+)\.")
CHUNKS = 30
LONG = 20
"""Times that a reply says its fact: it fills a page of the journal soon."""


def reply(prompt):
    facts = FACT.findall(prompt.rpartition("TAUGHT_AT")[2])
    return "\n".join(f"{a} | Person | FOUNDED | {b} | Company" for a, b in facts * LONG)


@pytest.fixture
def model():
    return ScriptedChatModel(reply=reply)


def ingest(kb, write, documents, chunks):
    for n in chunks:
        write(f"{n}.md", f"# {n}\n\nJobs{n} founded Apple{n}. This is text number {n}.")
    kb.ingest(documents)


def founders(kb):
    chunks = kb.graph.graph_documents(kb.graph.chunk_ids(limit=CHUNKS))
    return {node.name for chunk in chunks for node in chunk.nodes if node.label == "Person"}


def full(database):
    """From now on it may not grow."""
    database.execute("PRAGMA max_page_count = 1")
    return database


ALL = {f"Jobs{n}" for n in range(CHUNKS)}


def test_where_the_graph_has_no_room_it_stays_and_the_replies_are_kept(
    kb, documents, write, model, monkeypatch
):
    ingest(kb, write, documents, range(1))
    kb.build_graph(model)
    ingest(kb, write, documents, range(CHUNKS))
    with monkeypatch.context() as small:
        opened = GraphFile._open
        small.setattr(GraphFile, "_open", lambda self: full(opened(self)))
        with pytest.raises(GraphError, match=r"full.*nothing is half-written"):
            kb.build_graph(model)
        assert founders(kb) == {"Jobs0"}
    kb.close()
    report = kb.build_graph(model)
    assert (report.extracted, report.kept) == (0, CHUNKS)
    assert founders(kb) == ALL
    assert len(model.asked) == CHUNKS


def test_where_the_journal_has_no_room_the_model_is_asked_no_further(
    kb, documents, write, model, monkeypatch
):
    ingest(kb, write, documents, range(CHUNKS))
    with monkeypatch.context() as small:
        connect = journal._connect
        small.setattr(journal, "_connect", lambda *given: full(connect(*given)))
        with pytest.raises(KnowledgeBaseError, match=r"full.*Make room"):
            kb.build_graph(model)
    asked = len(model.asked)
    assert 0 < asked < CHUNKS
    report = kb.build_graph(model)
    assert report.kept >= asked - 2  # what was under way when the disk was full is asked again
    assert report.kept + report.extracted == CHUNKS
    assert founders(kb) == ALL


class Service(ThreadingHTTPServer):
    """Speaks OpenAI's chat API; a passage with `hangs` gets no answer until `stop`."""

    daemon_threads = True
    hangs = ""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked = []
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever).start()

    def stop(self):
        self.over.set()
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        passage = prompt["messages"][-1]["content"]
        self.server.asked.append(passage)
        if self.server.hangs and self.server.hangs in passage:
            self.server.over.wait()
            return
        choice = {"message": {"role": "assistant", "content": reply(passage)}}
        body = json.dumps({"choices": [{**choice, "index": 0, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    service = Service()
    yield service
    service.stop()


@pytest.fixture
def remote(service):
    address = f"http://127.0.0.1:{service.server_port}/v1"
    return load_chat_model(
        "openai:none", timeout_seconds=1.0, max_retries=0, base_url=address, api_key="none"
    )


def test_a_call_that_hangs_is_over_in_time_and_asked_again_the_next_time(
    kb, documents, write, service, remote
):
    ingest(kb, write, documents, range(3))
    service.hangs = "Jobs1"
    report = kb.build_graph(remote)
    [why] = report.failed.values()
    assert "timed out" in why
    assert founders(kb) == {"Jobs0", "Jobs2"}
    service.hangs = ""
    service.asked.clear()
    report = kb.build_graph(remote)
    assert (report.extracted, report.kept, report.failed) == (1, 2, {})
    assert len(service.asked) == 1
    assert founders(kb) == {"Jobs0", "Jobs1", "Jobs2"}


def test_a_service_that_hangs_stops_the_run_with_what_to_do(kb, documents, write, service, remote):
    ingest(kb, write, documents, range(4))
    service.hangs = "Jobs"
    with pytest.raises(GraftError, match=r"4 calls of the model failed.*timed out.*goes on"):
        kb.build_graph(remote)
    service.hangs = ""
    assert kb.build_graph(remote).extracted == 4
