"""The MCP tools over a real Neo4j: rows come, writes and reads of files do not."""

import pytest
from langchain_core.runnables import RunnableLambda
from mcp import Client
from neo4j import GraphDatabase

from langchain_graft.chains import create_rag_chain
from langchain_graft.graph import GraphRetriever
from langchain_graft.graph.neo4j_store import Neo4jGraphStore
from langchain_graft.server import create_mcp_server
from langchain_graft.testing import ScriptedChatModel

pytestmark = pytest.mark.neo4j

WORLD = "CREATE (:Person {name: 'Jobs'})-[:FOUNDED]->(:Company {name: 'NeXT'})"
REFUSED = [
    "CREATE (:Person {name: 'Eve'})",
    "MATCH (n) DETACH DELETE n RETURN 1",
    "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "CALL dbms.listConfig() YIELD name RETURN name",
    "MATCH (n) RETURN n; CREATE (m)",
]


@pytest.fixture
def driver(neo4j):
    with GraphDatabase.driver(neo4j.uri, auth=(neo4j.user, neo4j.password)) as driver:
        driver.execute_query(WORLD)
        yield driver


@pytest.fixture
def store(neo4j):
    store = Neo4jGraphStore(neo4j.uri, user=neo4j.user, password=neo4j.password)
    yield store
    store.close()


async def test_an_agent_reads_and_can_not_write(store, driver):
    nothing = RunnableLambda(lambda _: [])
    server = create_mcp_server(
        chains={"rag": create_rag_chain(ScriptedChatModel(), nothing)},
        default="rag",
        retriever=nothing,
        graph=GraphRetriever(store=store),
        neo4j=store,
    )
    async with Client(server) as client:

        async def cypher(statement, **parameters):
            given = {"statement": statement, "parameters": parameters}
            return await client.call_tool("cypher", given)

        schema = await client.call_tool("schema", {})
        assert "FOUNDED" in schema.content[0].text
        found = await cypher("MATCH (p)-[:FOUNDED]->(c {name: $name}) RETURN p.name", name="NeXT")
        assert found.structured_content["rows"] == [{"p.name": "Jobs"}]
        walked = await client.call_tool("graph", {"question": "Who founded NeXT?"})
        assert "Jobs" in walked.content[0].text
        for statement in REFUSED:
            assert (await cypher(statement)).is_error
    records = driver.execute_query("MATCH (n) RETURN count(n) AS n").records
    assert records[0]["n"] == 2
