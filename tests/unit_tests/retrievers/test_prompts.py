"""Each prompt as it is sent."""

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.retrievers.metadata_conditions import MetadataField
from langchain_graft.retrievers.prompts import FIRST_TOKEN_PROMPT
from langchain_graft.retrievers.rerank_listwise import ListwiseReranker
from langchain_graft.retrievers.rewriters.decomposition import create_decomposition_rewriter
from langchain_graft.retrievers.rewriters.hyde import create_hyde_rewriter
from langchain_graft.retrievers.rewriters.multi_query import create_multi_query_rewriter
from langchain_graft.retrievers.rewriters.rephrase import create_rephrase_rewriter
from langchain_graft.retrievers.rewriters.step_back import create_step_back_rewriter
from langchain_graft.retrievers.self_query import SelfQueryRetriever
from langchain_graft.retrievers.summary import create_summaries
from langchain_graft.testing import ScriptedChatModel

REWRITERS = {
    "multi_query": create_multi_query_rewriter,
    "step_back": create_step_back_rewriter,
    "hyde": create_hyde_rewriter,
    "decomposition": create_decomposition_rewriter,
    "rephrase": create_rephrase_rewriter,
}


def as_text(messages):
    return "\n\n".join(f"<{message.type}>\n{message.text}" for message in messages)


@pytest.mark.parametrize("question", ["{input}", "谁？"], ids=["en", "zh"])
@pytest.mark.parametrize("name", REWRITERS)
def test_what_a_rewriter_sends(name, question, snapshot):
    model = ScriptedChatModel(script=["NONE"])
    REWRITERS[name](model).invoke(question)
    assert as_text(model.asked[0]) == snapshot


DOCUMENTS = [Document("One.", id="1"), Document("Two.", id="2")]


def _rerank(model, **settings):
    ListwiseReranker(model=model, **settings).compress_documents(DOCUMENTS, "{input}")


OTHERS = {
    "listwise": _rerank,
    "first_token": lambda model: _rerank(model, prompt=FIRST_TOKEN_PROMPT),
    "summary": lambda model: create_summaries(model, DOCUMENTS[:1]),
    "self_query": lambda model: SelfQueryRetriever(
        retriever=RunnableLambda(lambda _: []),
        model=model,
        fields=[MetadataField("year", "when it was", "number"), MetadataField("a", values=("b",))],
    ).invoke("{input}"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_the_others_send(name, snapshot):
    model = ScriptedChatModel(script=["1"])
    OTHERS[name](model)
    assert as_text(model.asked[0]) == snapshot
