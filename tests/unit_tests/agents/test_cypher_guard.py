import json
from pathlib import Path

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from langchain_graft.agents import CypherGuardMiddleware
from langchain_graft.testing import ScriptedChatModel

CORPUS = Path(__file__).parents[2] / "attacks" / "cypher.jsonl"
ATTACKS = [json.loads(line) for line in CORPUS.read_text("utf-8").split("\n") if line]
REFUSED = [one["cypher"] for one in ATTACKS if one["expect"] == "refused" and "cypher" in one]
READS = "MATCH (n:Person) RETURN n.name AS name"
WRITES = "MATCH (n) DETACH DELETE n"


class Database:
    """A tool that runs Cypher, and one that does not; `ran` is what the first was given."""

    def __init__(self):
        self.ran = []

        @tool
        def read_graph(query: str = "") -> str:
            """Run Cypher."""
            self.ran.append(query)
            return "[{'name': 'Ann'}]"

        @tool
        def search(query: str) -> str:
            """Search documents."""
            return f"Found for {query}"

        self.tools = [read_graph, search]


@pytest.fixture
def database():
    return Database()


async def told(run, database, guard, *calls):
    """What the tools' messages say after these calls of a model."""
    made = [
        {"type": "tool_call", "id": f"{n}", "name": name, "args": args}
        for n, (name, args) in enumerate(calls)
    ]
    model = ScriptedChatModel(script=[AIMessage("", tool_calls=made), "Ann."])
    agent = create_agent(model, database.tools, middleware=[guard])
    out = await run(agent, {"messages": [("human", "Who is there?")]})
    assert out["messages"][-1].text == "Ann."
    return [one for one in out["messages"] if one.type == "tool"]


GUARD = CypherGuardMiddleware(["query"], tools=["read_graph"])


async def test_what_reads_is_run_and_what_writes_is_not(run, database):
    calls = [("read_graph", {"query": READS}), ("read_graph", {"query": WRITES})]
    read, refused = await told(run, database, GUARD, *calls)
    assert database.ran == [READS]
    assert read.text == "[{'name': 'Ann'}]"
    assert refused.status == "error"
    assert refused.text.startswith("Refused, nothing was run:")
    assert "'DETACH' does more than read" in refused.text
    assert refused.tool_call_id == "1"


async def test_no_attack_comes_through(run, database):
    calls = [("read_graph", {"query": cypher}) for cypher in REFUSED]
    messages = await told(run, database, GUARD, *calls)
    assert len(messages) == len(REFUSED) > 200
    assert {one.status for one in messages} == {"error"}
    assert database.ran == []


@pytest.mark.parametrize("args", [{}, {"query": [WRITES]}, {"query": {"text": WRITES}}, {"q": "x"}])
async def test_a_call_without_a_text_is_refused(run, database, args):
    [message] = await told(run, database, GUARD, ("read_graph", args))
    assert message.status == "error"
    assert database.ran == []


async def test_other_tools_are_let_be(run, database):
    [message] = await told(run, database, GUARD, ("search", {"query": WRITES}))
    assert message.text == f"Found for {WRITES}"


async def test_without_tools_named_every_tool_s_arguments_of_these_names_are_looked_at(run):
    ran = []

    @tool
    def run_statement(statement: str, title: str) -> str:
        """Run it."""
        ran.append(statement)
        return title

    database = Database()
    database.tools.append(run_statement)
    calls = [
        ("run_statement", {"statement": WRITES, "title": "CREATE"}),
        ("run_statement", {"statement": READS, "title": "CREATE"}),
        ("search", {"query": WRITES}),
    ]
    refused, read, found = await told(run, database, CypherGuardMiddleware(), *calls)
    assert (refused.status, read.text, found.status) == ("error", "CREATE", "success")
    assert ran == [READS]


async def test_rows_are_limited(run, database):
    guard = CypherGuardMiddleware(["query"], tools=["read_graph"], limit=10)
    await told(run, database, guard, ("read_graph", {"query": READS + " LIMIT 900"}))
    await told(run, database, guard, ("read_graph", {"query": READS}))
    assert database.ran == [READS + " LIMIT 10"] * 2


async def test_what_may_be_called_can_be_widened(run, database):
    cypher = "RETURN apoc.text.clean('A') AS a"
    [message] = await told(run, database, GUARD, ("read_graph", {"query": cypher}))
    assert "'apoc.text.clean' is not among" in message.text
    guard = CypherGuardMiddleware(["query"], functions={"apoc.text.clean"})
    await told(run, database, guard, ("read_graph", {"query": cypher}))
    assert database.ran == [cypher]


@pytest.mark.parametrize("wrong", [{"arguments": []}, {"arguments": "query"}, {"limit": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="arguments has to name at least one argument"):
        CypherGuardMiddleware(**wrong)
