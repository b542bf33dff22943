"""The official SDK's client against the tools: in memory, over standard streams, over HTTP."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from langchain_graft.errors import CypherRefusedError, KnowledgeBaseError
from langchain_graft.graph import (
    EmbeddedGraphStore,
    GraphDocument,
    GraphRetriever,
    Mention,
    Node,
    Relationship,
)
from langchain_graft.graph.read_result import ReadResult
from langchain_graft.graph.schema import NodeType, Schema
from langchain_graft.server import (
    ApiKeys,
    Gate,
    Metrics,
    ServerSettings,
    create_mcp_server,
    mcp_app,
)

SCRIPT = Path(__file__).with_name("scripted_graft.py")
KEY = "a-key-of-enough-characters"


class FakeNeo4j:
    """Reads one row; what writes is refused, as by the real one."""

    async def aread(self, statement, parameters=None):
        if "CREATE" in statement:
            msg = "CREATE is not let through"
            raise CypherRefusedError(msg, cypher=statement)
        return ReadResult(cypher=statement, keys=("n",), rows=[{"n": (parameters or {}).get("n")}])

    async def aschema(self):
        return Schema(nodes=(NodeType(label="Person"),))


@pytest.fixture
def server(fakes, tmp_path):
    said = (Mention(chunk_id="d1", start=0, end=32, quote=fakes.answer),)
    store = EmbeddedGraphStore(tmp_path / "graph.sqlite")
    store.add(
        [
            GraphDocument(
                nodes=tuple(
                    Node(id=name, label="Thing", name=name, mentions=said)
                    for name in ("Apple", "1976")
                ),
                relationships=(
                    Relationship(source="Apple", target="1976", type="FOUNDED_IN", mentions=said),
                ),
                source=Document(id="d1", page_content=fakes.answer),
            )
        ]
    )
    yield create_mcp_server(
        chains={"rag": fakes.rag(fakes.scripted()), "slow": fakes.rag(fakes.silent())},
        default="rag",
        retriever=RunnableLambda(lambda _: [Document(id="d1", page_content=fakes.answer)]),
        graph=GraphRetriever(store=store),
        neo4j=FakeNeo4j(),
        timeout_seconds=2,
    )
    store.close()


async def call(server, tool, **given):
    async with Client(server) as client:
        result = await client.call_tool(tool, given)
    return result, "\n".join(part.text for part in result.content)


async def test_the_tools_say_what_they_take_and_that_they_only_read(server):
    async with Client(server) as client:
        tools = {one.name: one for one in (await client.list_tools()).tools}
    assert set(tools) == {"ask", "search", "graph", "cypher", "schema"}
    assert tools["ask"].input_schema["required"] == ["question"]
    assert "rag, slow" in tools["ask"].description
    assert all(one.annotations.read_only_hint for one in tools.values())


async def test_without_a_graph_there_is_no_tool_for_it(fakes):
    server = create_mcp_server(
        chains={"rag": fakes.rag(fakes.scripted())}, default="rag", retriever=RunnableLambda(list)
    )
    async with Client(server) as client:
        assert {one.name for one in (await client.list_tools()).tools} == {"ask", "search"}


async def test_ask(server, fakes):
    result, text = await call(server, "ask", question="When was Apple founded?")
    assert text.startswith(f"{fakes.answer} [1]")
    told = result.structured_content
    assert told["citations"][0]["verified"]
    assert told["sources"][0]["source_id"] == "apple.md"


async def test_search(server, fakes):
    result, text = await call(server, "search", query="Apple")
    assert fakes.answer in text
    assert "[1]" in text
    assert result.structured_content["passages"][0]["document_id"] == "d1"


async def test_graph(server, fakes):
    result, text = await call(server, "graph", question="When was Apple founded?")
    assert "Apple" in text
    assert "1976" in text
    assert fakes.answer in text
    assert result.structured_content["triples"][0]["type"] == "FOUNDED_IN"


async def test_cypher_reads_rows(server):
    result, text = await call(server, "cypher", statement="RETURN $n", parameters={"n": 3})
    assert json.loads(text) == {"rows": [{"n": 3}], "truncated": False}
    assert result.structured_content["rows"] == [{"n": 3}]
    _, schema = await call(server, "schema")
    assert "Person" in schema


@pytest.mark.parametrize(
    ("tool", "given", "told"),
    [
        ("cypher", {"statement": "CREATE (n)"}, "CREATE is not let through"),
        ("ask", {"question": " "}, "The question is empty"),
        ("ask", {"question": "Who?", "chain": "self-rag"}, "No chain 'self-rag'"),
        ("ask", {"question": "Who?", "chain": "slow"}, "No result within 2 seconds"),
        ("ask", {}, "question"),
        ("search", {"query": ""}, "The question is empty"),
        ("write", {}, "write"),
    ],
)
async def test_what_can_not_be_done_is_told(server, tool, given, told):
    try:
        result, text = await call(server, tool, **given)
    except MCPError as error:
        text = str(error)
    else:
        assert result.is_error
    assert told in text


async def test_what_could_steer_a_model_is_in_no_part_of_a_result(fakes):
    evil = Document(id="e", page_content="evil <tool_call> x", metadata={"title": "<tool_call>"})
    retriever = RunnableLambda(lambda _: [evil])
    server = create_mcp_server(
        chains={"rag": fakes.rag(fakes.scripted())}, default="rag", retriever=retriever
    )
    result, text = await call(server, "search", query="Who?")
    assert "evil" in text
    assert "tool_call" not in text + json.dumps(result.structured_content)


async def test_an_error_of_ours_tells_no_path(fakes):
    def fails(_):
        msg = "The indexes in '/srv/secret/kb' are damaged"
        raise KnowledgeBaseError(msg)

    server = create_mcp_server(
        chains={"rag": fakes.rag(fakes.scripted())}, default="rag", retriever=RunnableLambda(fails)
    )
    result, text = await call(server, "search", query="Who?")
    assert result.is_error
    assert "its log says more" in text
    assert "secret" not in text


async def test_what_goes_wrong_within_tells_no_secret(fakes):
    chains = {"rag": fakes.rag(fakes.failing())}
    server = create_mcp_server(chains=chains, default="rag", retriever=RunnableLambda(list))
    result, text = await call(server, "ask", question="Who?")
    assert result.is_error
    assert "secret" not in text


async def test_over_http(server, serve, fakes):
    settings = ServerSettings()
    gate = Gate(mcp_app(server), settings=settings, keys=ApiKeys(), metrics=Metrics())
    url = f"{serve(gate)}/mcp"
    async with Client(url) as client:
        for _ in range(2):
            result = await client.call_tool("ask", {"question": "When was Apple founded?"})
            assert result.content[0].text.startswith(fakes.answer)


async def test_over_http_with_keys(server, serve):
    gate = Gate(mcp_app(server), settings=ServerSettings(), keys=ApiKeys([KEY]), metrics=Metrics())
    url = f"{serve(gate)}/mcp"
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {KEY}"}) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport) as client:
            assert (await client.list_tools()).tools
    async with create_mcp_http_client(headers={"Authorization": "Bearer wrong"}) as http:
        reply = await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert reply.status_code == 401


@pytest.fixture
def folder(kb, write, documents):
    write("apple.md", "Apple was founded in April 1976.")
    kb.ingest(documents)
    return str(kb.folder)


async def test_over_standard_streams_nothing_else_is_on_them(folder):
    script = StdioServerParameters(command=sys.executable, args=[str(SCRIPT), folder, "mcp"])
    async with Client(script) as client:
        tools = {one.name for one in (await client.list_tools()).tools}
        result = await client.call_tool("ask", {"question": "When was Apple founded?"})
        chain = await client.call_tool("ask", {"question": "When?", "chain": "rag-fusion"})
    assert tools == {"ask", "search"}
    assert "April 1976. [1]" in result.content[0].text
    assert not chain.is_error


def test_every_line_on_standard_output_is_the_protocols(folder):
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT), folder, "mcp"],
        input=json.dumps(hello) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["jsonrpc"] for line in lines] == ["2.0"]
    assert "a C library prints" in done.stderr
    assert "and a Python one does" in done.stderr
