"""A question's own conditions, as a filter on metadata."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.prompts import BasePromptTemplate
from langchain_core.retrievers import BaseRetriever, RetrieverLike
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from pydantic import Field, field_validator

from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.retrievers.filters import Filter, OwnFilter, both_filters, check_filter
from langchain_graft.retrievers.index import DEFAULT_K, narrowed
from langchain_graft.retrievers.many import asearch_many, search_many
from langchain_graft.retrievers.metadata_conditions import MetadataField, read_conditions
from langchain_graft.retrievers.prompts import SELF_QUERY_PROMPT
from langchain_graft.retrievers.query import Query, as_query
from langchain_graft.retrievers.together import ainvoke_each, invoke_each, raised
from langchain_graft.retrievers.warned import failure, with_warnings
from langchain_graft.source_text import without_control_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document

_MOST_TOKENS = 120
_MOST_QUESTION_CHARACTERS = 2000
_logger = logging.getLogger(__name__)

_Read = tuple[str, Filter] | Exception


class SelfQueryRetriever(BaseRetriever):
    """Lets a model read conditions out of the question, and searches for the rest under them.

    "Which comedies since 1990 are about dogs?" becomes a search for "films about dogs" under
    `{"$and": [{"genre": "comedy"}, {"year": {"$gte": 1990}}]}`. What the model sets is checked
    against `fields` (`read_conditions`). It narrows the retriever's and the call's filter and never
    widens them. When nothing passes it, the question is searched again without it.

    `metadata["self_query"]` has the `query` and the `filter` that were searched with; a line in
    `metadata["warnings"]` says when the model failed or its filter was given up.

    Example:
        >>> fields = [MetadataField("year", "when it was published", "number")]
        >>> retriever = SelfQueryRetriever(retriever=by_meaning, model=model, fields=fields)
    """

    retriever: RetrieverLike
    model: BaseChatModel
    fields: list[MetadataField] = Field(min_length=1)
    prompt: BasePromptTemplate = SELF_QUERY_PROMPT  # type: ignore[type-arg]  # pydantic takes no other
    """With the variables `fields` and `input`."""
    k: int = Field(default=DEFAULT_K, ge=1)
    filter: OwnFilter = None

    @field_validator("prompt")
    @classmethod
    def _known_variables(cls, prompt: BasePromptTemplate[Any]) -> BasePromptTemplate[Any]:
        require_variables(prompt, "fields", "input")
        return prompt

    def search_many(
        self,
        queries: Sequence[str | Query],
        *,
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
        config: RunnableConfig | None = None,
    ) -> list[list[Document]]:
        """Documents for several questions, each under its own conditions.

        Args:
            queries: The questions.
            k: Documents per question; None: the retriever's own.
            filter: Narrows the retriever's own.
            config: For the model and the retriever.

        Raises:
            ValueError: `k` or the filter can not be used.
        """
        k, where = narrowed(self, k, filter)
        asked = [as_query(query) for query in queries]
        read = invoke_each(self._reading(), [query.text for query in asked], config)
        return [
            self._find(query, of, k, where, config) for query, of in zip(asked, read, strict=True)
        ]

    async def asearch_many(
        self,
        queries: Sequence[str | Query],
        *,
        k: int | None = None,
        filter: Filter | None = None,  # noqa: A002
        config: RunnableConfig | None = None,
    ) -> list[list[Document]]:
        """Like `search_many`, off the event loop."""
        k, where = narrowed(self, k, filter)
        asked = [as_query(query) for query in queries]
        read = await ainvoke_each(self._reading(), [query.text for query in asked], config)
        return [
            await self._afind(query, of, k, where, config)
            for query, of in zip(asked, read, strict=True)
        ]

    def _find(
        self, query: Query, read: _Read, k: int, where: Filter, config: RunnableConfig | None
    ) -> list[Document]:
        rest, own, warnings = _planned(query, read)
        both = both_filters(where, own)
        search = partial(search_many, self.retriever, k=k, config=config)
        found = _first(search([rest], filter=both))
        if found or not own:
            return _told(found, rest, own, *warnings)
        return _told(_first(search([query], filter=where)), query, {}, _given_up(own))

    async def _afind(
        self, query: Query, read: _Read, k: int, where: Filter, config: RunnableConfig | None
    ) -> list[Document]:
        rest, own, warnings = _planned(query, read)
        both = both_filters(where, own)
        search = partial(asearch_many, self.retriever, k=k, config=config)
        found = _first(await search([rest], filter=both))
        if found or not own:
            return _told(found, rest, own, *warnings)
        return _told(_first(await search([query], filter=where)), query, {}, _given_up(own))

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **asked: Any
    ) -> list[Document]:
        config: RunnableConfig = {"callbacks": run_manager.get_child()}
        return self.search_many([query], config=config, **asked)[0]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **asked: Any
    ) -> list[Document]:
        config: RunnableConfig = {"callbacks": run_manager.get_child()}
        return (await self.asearch_many([query], config=config, **asked))[0]

    def _reading(self) -> Runnable[str, tuple[str, Filter]]:
        """A step from the question to what is left to search for, and the filter."""
        described = "\n".join(map(str, self.fields))

        def read(state: dict[str, Any]) -> tuple[str, Filter]:
            reply, question = str(state["reply"].text), state["question"]
            rest, own = read_conditions(reply, self.fields, question=question)
            return rest, check_filter(own)

        asked: Runnable[str, dict[str, str]] = RunnableLambda(
            lambda question: {
                "fields": described,
                "input": without_control_words(question[:_MOST_QUESTION_CHARACTERS]),
            }
        )
        reply = asked | self.prompt | ask_aside(self.model, max_tokens=_MOST_TOKENS)
        both: Runnable[str, Any] = {
            "question": RunnableLambda(str),
            "reply": reply,
        } | RunnableLambda(read)
        return both.with_config(run_name="read_conditions")


def _planned(query: Query, read: _Read) -> tuple[Query, Filter, list[str]]:
    """What is searched for first, under what, and what there is to warn of."""
    if isinstance(read, Exception):
        return query, {}, [failure("no conditions read", read)]
    rest, own = read
    return Query(rest, passages=query.passages), own, []


def _first(found: Sequence[list[Document] | Exception]) -> list[Document]:
    [ranking] = found
    return raised(ranking)


def _told(
    documents: Sequence[Document], query: Query, own: Filter, *warnings: str
) -> list[Document]:
    """Copies of the documents that say how they were searched for."""
    for warning in warnings:
        _logger.warning("%s", warning)
    facts = {"query": query.text, "filter": dict(own)}
    copies = [
        one.model_copy(update={"metadata": {**one.metadata, "self_query": facts}})
        for one in documents
    ]
    return [with_warnings(copy, warnings) for copy in copies]


def _given_up(own: Filter) -> str:
    return f"searched without the conditions read from the question, which nothing met: {own!r}"[
        :300
    ]
