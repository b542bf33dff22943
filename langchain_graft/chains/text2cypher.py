"""Answers from a graph in Neo4j: a model writes Cypher, and answers from its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.runnables import Runnable, RunnableBranch, RunnableConfig, RunnableLambda

from langchain_graft.chains.answer import create_answer_step
from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.prompts import ROWS_ANSWER_PROMPT
from langchain_graft.chains.rag import RagSettings, create_grounded_retrieval_step
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.errors import CypherRefusedError, ReplyError
from langchain_graft.graph.text2cypher import CypherAnswer, Text2CypherSettings
from langchain_graft.graph.text2cypher_retriever import Text2CypherRetriever, row_documents
from langchain_graft.language import language_of
from langchain_graft.models.asking import require_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate

    from langchain_graft.chains.types import RagInput, RagOutput
    from langchain_graft.graph.examples import CypherExamples
    from langchain_graft.graph.steps import ReadableGraph

NOT_IN_THE_GRAPH = {
    "en": "There is no answer in the graph: it does not hold what is asked.",
    "zh": "图中没有找到答案：图里没有问题所问的内容。",
}
NOTHING_FITS = {
    "en": "There is no answer in the graph: nothing in it fits the question.",
    "zh": "图中没有找到答案：没有符合问题的数据。",
}


def create_text2cypher_chain(  # noqa: PLR0913 (each is a choice of its own)
    model: BaseChatModel,
    graph: ReadableGraph,
    *,
    cypher_model: BaseChatModel | None = None,
    examples: CypherExamples | None = None,
    embeddings: Embeddings | None = None,
    cypher_prompt: BasePromptTemplate[Any] | None = None,
    cypher_settings: Text2CypherSettings | None = None,
    otherwise: Runnable[Any, Any] | None = None,
    **settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that answers a question from the rows of a Cypher statement, which a model writes.

    The statement is mended, checked against the live schema, and run read-only, its literals as
    parameters (`Text2CypherRetriever` tells how). The output is that of `create_rag_chain`: a row
    is a document of `context`, and the answer cites rows with `[n]`. Besides it has `cypher` (as it
    was run; empty when none was), `parameters`, `rows` and `repairs` (what was mended). Where the
    graph does not hold what is asked, where nothing fits, or where no statement could be
    written, the answer says so, no model is asked for it, and the last of `repairs` tells why.

    Args:
        model: Any chat model; it writes the answer.
        graph: A `Neo4jGraphStore`.
        cypher_model: Writes the statement; None: `model`.
        examples: A user's questions with their statements; the likest ones are shown to the model.
        embeddings: Ranks the schema's labels by meaning; None: by words.
        cypher_prompt: Another prompt for the statement; None: `CYPHER_PROMPT`.
        cypher_settings: Limits of the statement, and what is done to it.
        otherwise: A chain that answers where there are no rows; None: the answer says so.
        settings: As for `create_rag_chain`; `prompt` may use `cypher`, too, and `check` is None
            unless one is given.

    Raises:
        GraphError: In a run: the graph can not be read.

    Example:
        >>> chain = create_text2cypher_chain(model, Neo4jGraphStore())
        >>> chain.invoke("Who directed The Matrix?")["answer"]
        'The Matrix was directed by Lana Wachowski and Lilly Wachowski. [1, 2]'
    """
    given = {"examples": examples, "embeddings": embeddings, "prompt": cypher_prompt}
    retriever = Text2CypherRetriever(
        model=cypher_model or model,
        graph=graph,
        settings=cypher_settings or Text2CypherSettings(),
        **{name: value for name, value in given.items() if value is not None},
    )
    prompt = settings.get("prompt") or ROWS_ANSWER_PROMPT
    require_variables(prompt, "sources", "input")
    check = settings.get("check")
    packing = create_grounded_retrieval_step(model, _rows_of, **settings)
    answering = create_answer_step(
        model,
        prompt,
        check=None if check == "auto" else check,
        attribute=settings.get("attribute", True),
    )
    refusing: Runnable[Any, Any] = RunnableLambda(_refused, name="refuse")

    def is_left(state: Mapping[str, Any]) -> bool:
        return otherwise is not None and not state["rows"]

    def ending(state: Mapping[str, Any]) -> tuple[Runnable[Any, Any], Mapping[str, Any]]:
        if otherwise is not None and is_left(state):
            return otherwise, state
        return (answering if state["context"] else refusing), state

    nothing: Runnable[Any, dict[str, Any]] = RunnableLambda(lambda _: {})
    return create_staged_chain(
        _create_reading(retriever),
        RunnableBranch((is_left, nothing), packing),
        last=ending,
        name="text2cypher_chain",
    )


def _create_reading(retriever: Text2CypherRetriever) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    """A stage from the question to the statement and its rows."""

    def read(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        try:
            return _read(retriever.answer(question_of(state), config))
        except (ReplyError, CypherRefusedError) as error:
            return _unread(error)

    async def aread(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        try:
            return _read(await retriever.aanswer(question_of(state), config))
        except (ReplyError, CypherRefusedError) as error:
            return _unread(error)

    return RunnableLambda(read, aread, name="read_graph")


def _read(answer: CypherAnswer) -> dict[str, Any]:
    return {
        "cypher": answer.cypher,
        "parameters": answer.parameters,
        "rows": list(answer.rows),
        "repairs": [*answer.repairs, *([answer.reason] if answer.reason else [])],
    }


def _unread(error: Exception) -> dict[str, Any]:
    return {"cypher": "", "parameters": {}, "rows": [], "repairs": [str(error).splitlines()[0]]}


def _rows_of(state: Mapping[str, Any]) -> list[Document]:
    return row_documents(
        CypherAnswer(
            cypher=state["cypher"],
            parameters=state["parameters"],
            rows=tuple(state["rows"]),
            repairs=tuple(state["repairs"]),
        )
    )


def _refused(state: Mapping[str, Any]) -> dict[str, Any]:
    words = NOTHING_FITS if state["cypher"] else NOT_IN_THE_GRAPH
    return {"answer": words[language_of(question_of(state))], "citations": []}
