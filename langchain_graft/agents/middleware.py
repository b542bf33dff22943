"""Retrieval and a check of citations, as middleware of LangChain's `create_agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_graft.agents.retrieve_reply import without_tool_words
from langchain_graft.agents.tools import CONTEXT_TOKENS, PASSAGE_RULES
from langchain_graft.chains.citations import find_citations
from langchain_graft.chains.context import numbered_sources
from langchain_graft.chains.packing import pack_documents
from langchain_graft.errors import MissingExtraError
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.retrievers.many import asearch_one, search_one

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState
except ImportError as error:
    raise MissingExtraError("agents") from error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain.agents.middleware import ModelRequest, ModelResponse
    from langchain_core.documents import Document
    from langchain_core.retrievers import RetrieverLike


class GroundedState(AgentState[Any]):
    """What the two middlewares keep."""

    context: list[Any]
    """The documents that were found for the last question."""
    citations: list[Any]
    """Of the last answer, checked."""


class RetrievalMiddleware(AgentMiddleware[Any, Any, Any]):
    """Puts what a retriever finds for the last question before the model.

    The documents are in the state's `context`, for `CitationMiddleware` and for the caller.

    Args:
        retriever: Any LangChain retriever.
        context_tokens: Most tokens of all passages together.
    """

    state_schema = GroundedState

    def __init__(self, retriever: RetrieverLike, *, context_tokens: int = CONTEXT_TOKENS) -> None:
        super().__init__()
        self._retriever = retriever
        self._context_tokens = context_tokens

    def before_agent(self, state: Any, runtime: Any) -> dict[str, Any]:  # noqa: ARG002
        """Search, once per question."""
        question = _question(state)
        return self._packed(search_one(self._retriever, question, asked={}) if question else [])

    async def abefore_agent(self, state: Any, runtime: Any) -> dict[str, Any]:  # noqa: ARG002
        """Search, once per question."""
        question = _question(state)
        found = await asearch_one(self._retriever, question, asked={}) if question else []
        return self._packed(found)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask with the passages in the system message."""
        return handler(_with_sources(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Ask with the passages in the system message."""
        return await handler(_with_sources(request))

    def _packed(self, found: list[Document]) -> dict[str, Any]:
        packed = pack_documents(found, budget=self._context_tokens, count_tokens=estimate_tokens)
        return {"context": packed.documents, "citations": []}


class CitationMiddleware(AgentMiddleware[Any, Any, Any]):
    """Checks the marks of the last answer against the documents in the state's `context`.

    What was found is in the state's `citations`; the answer stays as it is.
    """

    state_schema = GroundedState

    def after_agent(self, state: Any, runtime: Any) -> dict[str, Any]:  # noqa: ARG002
        """Check the answer."""
        last = state["messages"][-1] if state["messages"] else None
        answer = str(last.text) if isinstance(last, AIMessage) else ""
        question = _question(state)
        return {"citations": find_citations(answer, state.get("context") or [], question=question)}

    async def aafter_agent(self, state: Any, runtime: Any) -> dict[str, Any]:
        """Check the answer."""
        return self.after_agent(state, runtime)


def _question(state: Any) -> str:
    asked = [one for one in state["messages"] if isinstance(one, HumanMessage)]
    return str(asked[-1].text).strip() if asked else ""


def _with_sources(request: ModelRequest[Any]) -> ModelRequest[Any]:
    documents: list[Any] = list(request.state.get("context") or [])  # type: ignore[call-overload]
    if not documents:
        return request
    said = str(request.system_message.text) if request.system_message else ""
    sources = without_tool_words(numbered_sources(documents))
    text = "\n\n".join(part for part in (said, PASSAGE_RULES, sources) if part)
    return request.override(system_message=SystemMessage(text))
