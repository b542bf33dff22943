"""Each prompt as it is sent."""

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage

from langchain_graft.errors import ReplyError
from langchain_graft.graph.communities import create_community_summaries
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.graph.examples import CypherExample
from langchain_graft.graph.extraction import Extractor
from langchain_graft.graph.prompts import (
    CYPHER_AGAIN,
    CYPHER_PROMPT,
    CYPHER_VALUES,
    SAME_ENTITY_PROMPT,
)
from langchain_graft.graph.question_entities import create_entity_step
from langchain_graft.graph.schema import NodeType, RelationshipType, Schema
from langchain_graft.graph.text2cypher import example_messages
from langchain_graft.testing import ScriptedChatModel
from langchain_graft.testing_graph_store import said

SCHEMA = Schema(
    nodes=(NodeType(label="Person"), NodeType(label="Company")),
    relationships=(RelationshipType(type="FOUNDED", endpoints=(("Person", "Company"),)),),
)
KINDS = {
    "free": {},
    "guided": {"schema": SCHEMA},
    "strict": {"schema": SCHEMA, "strict": True},
}


def as_text(messages):
    return "\n\n".join(f"<{message.type}>\n{message.text}" for message in messages)


@pytest.mark.parametrize(
    "text", ["Jobs founded Apple.", "乔布斯创办了苹果公司。"], ids=["en", "zh"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_asks_for_facts_is_sent(kind, text, snapshot):
    model = ScriptedChatModel(script=["NONE"])
    Extractor(model, **KINDS[kind]).ask(Document(text, metadata={"title": "Apple"}))
    assert as_text(model.asked[0]) == snapshot


def test_what_asks_again_is_sent(snapshot):
    model = ScriptedChatModel(script=["What a text!", "Indeed."])
    with pytest.raises(ReplyError):
        Extractor(model).ask(Document("Jobs founded Apple."))
    assert as_text(model.asked[1][-2:]) == snapshot


@pytest.mark.parametrize("question", ["Who founded Apple?", "谁创办了苹果公司？"], ids=["en", "zh"])
def test_what_asks_for_names_is_sent(question, snapshot):
    model = ScriptedChatModel(script=["NONE"])
    create_entity_step(model).invoke(question)
    assert as_text(model.asked[0]) == snapshot


def test_what_asks_for_a_summary_is_sent(snapshot):
    store = EmbeddedGraphStore(None)
    triples = [
        ("Jobs", "FOUNDED", "Apple"),
        ("Jobs", "FOUNDED", "NeXT"),
        ("Apple", "BOUGHT", "NeXT"),
    ]
    store.add([said("Jobs, Apple, NeXT", chunk_id="c", triples=triples)])
    model = ScriptedChatModel(script=["One."])
    create_community_summaries(store, model)
    store.close()
    assert as_text(model.asked[0]) == snapshot


def test_what_asks_for_cypher_is_sent(snapshot):
    again = [AIMessage("MATCH (n) RETURN m"), HumanMessage(CYPHER_AGAIN)]
    examples = [CypherExample(question="Who is there?", cypher="MATCH (p:Person) RETURN p.name")]
    sent = CYPHER_PROMPT.invoke(
        {
            "schema": SCHEMA.describe(),
            "values": CYPHER_VALUES,
            "examples": example_messages(examples),
            "input": "Who founded Apple?",
            "again": again,
        }
    )
    assert as_text(sent.to_messages()) == snapshot


def test_what_asks_whether_two_are_one_is_sent(snapshot):
    variables = {variable: f"{{{variable}}}" for variable in SAME_ENTITY_PROMPT.input_variables}
    assert as_text(SAME_ENTITY_PROMPT.invoke(variables).to_messages()) == snapshot
