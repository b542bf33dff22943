"""Text2cypher on real servers: a small graph, and a model that writes wrong statements."""

import pytest
from neo4j import GraphDatabase

from langchain_graft.chains import create_text2cypher_chain
from langchain_graft.errors import CypherRefusedError
from langchain_graft.graph import Neo4jGraphStore, Text2CypherRetriever
from langchain_graft.testing import ScriptedChatModel

pytestmark = pytest.mark.neo4j

GRAPH = """
CREATE (lille:City {name: 'Lille', people: 236234}), (oslo:City {name: 'Oslo', people: 709037}),
  (bakery:Shop {name: 'Le Fournil', opened: 1998}), (books:Shop {name: 'Bokhuset', opened: 2011}),
  (tea:Shop {name: '茶馆', opened: 2020}),
  (anna:Person {name: 'Anna Berg'}), (jean:Person {name: 'Jean Petit'}),
  (mia:Person {name: 'Mia Berg'}), (li:Person {name: '李雷'}), (ole:Person {name: 'Ole Dahl'})
CREATE (bakery)-[:LOCATED_IN]->(lille), (books)-[:LOCATED_IN]->(oslo),
  (tea)-[:LOCATED_IN]->(oslo), (jean)-[:OWNS]->(bakery), (anna)-[:OWNS]->(books),
  (li)-[:OWNS]->(tea), (mia)-[:WORKS_IN {since: 2019}]->(books),
  (ole)-[:WORKS_IN {since: 2021}]->(tea)
"""


@pytest.fixture
def run(neo4j):
    with GraphDatabase.driver(neo4j.uri, auth=(neo4j.user, neo4j.password)) as driver:
        driver.execute_query(GRAPH)
        yield lambda cypher: [row.data() for row in driver.execute_query(cypher).records]


@pytest.fixture
def store(neo4j, run):
    store = Neo4jGraphStore(neo4j.uri, user=neo4j.user, password=neo4j.password)
    yield store
    store.close()


def retriever_of(store, *script):
    return Text2CypherRetriever(model=ScriptedChatModel(script=list(script)), graph=store)


async def both(store, question, *script):
    """The answer, which sync and async give alike."""
    answer = retriever_of(store, *script).answer(question)
    assert await retriever_of(store, *script).aanswer(question) == answer
    return answer


def names(rows):
    """The rows' only values; a question for shops may be answered by whole nodes."""
    values = [value for row in rows for value in row.values()]
    return sorted(value["name"] if isinstance(value, dict) else value for value in values)


@pytest.mark.parametrize(
    ("question", "said", "rows"),
    [
        (
            "Which shops are located in Oslo?",
            "MATCH (s:Shop)<-[:LOCATED_IN]-(c:City {name: 'Oslo'}) RETURN s.name",
            ["Bokhuset", "茶馆"],
        ),
        (
            "Who owns Le Fournil?",
            "MATCH (p:person)-[:owns]->(s:Shop {Name: 'Le Fournil'}) RETURN p.name",
            ["Jean Petit"],
        ),
        (
            "Who works in bokhuset?",
            "MATCH (p:Person)-[:WORKS_IN]->(s:Shop {name: 'bokhuset'}) RETURN p.name",
            ["Mia Berg"],
        ),
        (
            "茶馆是谁开的？",
            "MATCH (s:Shop {name: '茶馆'})-[:OWNS]->(p:Person) RETURN p.name",
            ["李雷"],
        ),
    ],
    ids=["arrow", "names", "value", "chinese"],
)
async def test_what_is_surely_wrong_is_mended_without_the_model(store, question, said, rows):
    answer = await both(store, question, said)
    assert names(answer.rows) == rows
    assert answer.repairs
    assert "$" in answer.cypher
    assert answer.parameters


async def test_what_the_server_says_goes_back_to_the_model(store):
    wrong = "MATCH (s:Shop) RETURN nosuchfunction(s.name)"
    right = "MATCH (s:Shop) WHERE s.opened > 2000 RETURN s.name"
    question = "Which shops opened after 2000?"
    answer = await both(store, question, wrong, right)
    assert names(answer.rows) == ["Bokhuset", "茶馆"]
    assert any("nosuchfunction" in repair for repair in answer.repairs)


@pytest.mark.parametrize(
    "said",
    [
        "MATCH (n) DETACH DELETE n",
        "MATCH (s:Shop {name: 'Bokhuset'}) SET s.name = 'Gone' RETURN s.name",
        "CREATE (s:Shop {name: 'Bokhuset'}) RETURN s.name",
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "CALL { LOAD CSV FROM 'http://127.0.0.1:1/x' AS line RETURN line } RETURN line",
        "CALL db.createLabel('Gone')",
    ],
)
async def test_a_statement_that_does_more_than_read_is_refused(store, run, said):
    question = "Where is the shop Bokhuset?"
    before = run("MATCH (n) RETURN labels(n) AS labels, properties(n) AS p ORDER BY p.name")
    assert len(before) == 10
    with pytest.raises(CypherRefusedError):
        retriever_of(store, said, said, said).answer(question)
    with pytest.raises(CypherRefusedError):
        await retriever_of(store, said, said, said).aanswer(question)
    after = run("MATCH (n) RETURN labels(n) AS labels, properties(n) AS p ORDER BY p.name")
    assert after == before


async def test_the_chain_answers_from_rows_and_refuses_without_them(store):
    question = "Which shops are located in Oslo?"
    cypher = "MATCH (s:Shop)<-[:LOCATED_IN]-(c:City {name: 'Oslo'}) RETURN s.name ORDER BY s.name"
    script = [cypher, "Bokhuset [1] and 茶馆 [2]."]
    output = create_text2cypher_chain(ScriptedChatModel(script=script), store).invoke(question)
    other = create_text2cypher_chain(ScriptedChatModel(script=script), store)
    assert await other.ainvoke(question) == output
    assert names(output["rows"]) == ["Bokhuset", "茶馆"]
    assert [one["marker"] for one in output["citations"]] == [1, 2]
    write = ["MATCH (n) DETACH DELETE n"] * 3
    refused = create_text2cypher_chain(ScriptedChatModel(script=write), store).invoke(question)
    assert refused["answer"].startswith("There is no answer in the graph")
    assert (refused["cypher"], refused["rows"]) == ("", [])
