"""One question or many to any retriever, told of a call's settings those that it takes."""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_graft.retrievers.filters import Filter, matches
from langchain_graft.retrievers.together import ainvoke_each, call_in_thread, invoke_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.retrievers import RetrieverLike
    from langchain_core.runnables import RunnableConfig

    from langchain_graft.retrievers.query import Query


def search_one(
    retriever: RetrieverLike,
    question: str,
    config: RunnableConfig | None = None,
    *,
    asked: Mapping[str, Any],
) -> list[Document]:
    """What any retriever finds for one question.

    Args:
        retriever: Any LangChain retriever, or a Runnable from a question to documents.
        question: What it is asked.
        config: Of the call.
        asked: Settings of the call: `k`, `filter`, `weights`. It is given those that it takes: a
            LangChain retriever `k`, one with `search_many`, as ours have, the others too. Nothing
            is given to a Runnable around a retriever: what is bound there would be overwritten.

    Raises:
        TypeError: It gives no list of documents.
    """
    settings = _taken(retriever, "_get_relevant_documents", asked)
    return _documents(retriever.invoke(question, config, **settings))


async def asearch_one(
    retriever: RetrieverLike,
    question: str,
    config: RunnableConfig | None = None,
    *,
    asked: Mapping[str, Any],
) -> list[Document]:
    """Like `search_one`, off the event loop."""
    if _is_sync(retriever):
        return await call_in_thread(partial(search_one, retriever, question, config, asked=asked))
    settings = _taken(retriever, "_aget_relevant_documents", asked)
    return _documents(await retriever.ainvoke(question, config, **settings))


def search_many(
    retriever: RetrieverLike,
    queries: Sequence[Query],
    *,
    k: int,
    filter: Filter | None = None,  # noqa: A002
    config: RunnableConfig | None = None,
) -> list[list[Document] | Exception]:
    """A ranking of at most `k` documents per query, or the error that the query met.

    A retriever with a method `search_many` is called once; any other Runnable once per query, a
    few at a time (`invoke_each`). What comes back is held to the filter in any case.

    Raises:
        Exception: What such a method raises.
    """
    if search := _own(retriever, "search_many"):
        found = search(queries, k=k, filter=filter, **_config(search, config))
    else:
        texts = [query.text for query in queries]
        taken = _taken(retriever, "_get_relevant_documents", {"k": k})
        found = invoke_each(retriever, texts, config, **taken)
    return _rankings(found, len(queries), k, filter)


async def asearch_many(
    retriever: RetrieverLike,
    queries: Sequence[Query],
    *,
    k: int,
    filter: Filter | None = None,  # noqa: A002
    config: RunnableConfig | None = None,
) -> list[list[Document] | Exception]:
    """Like `search_many`, off the event loop."""
    if asearch := _own(retriever, "asearch_many"):
        found = await asearch(queries, k=k, filter=filter, **_config(asearch, config))
    elif search := _own(retriever, "search_many"):
        found = await call_in_thread(
            partial(search, queries, k=k, filter=filter, **_config(search, config))
        )
    elif _is_sync(retriever):
        return await call_in_thread(
            partial(search_many, retriever, queries, k=k, filter=filter, config=config)
        )
    else:
        texts = [query.text for query in queries]
        taken = _taken(retriever, "_aget_relevant_documents", {"k": k})
        found = await ainvoke_each(retriever, texts, config, **taken)
    return _rankings(found, len(queries), k, filter)


def _taken(retriever: RetrieverLike, method: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a LangChain retriever's method takes; all but `k` are a dialect of ours."""
    if not isinstance(retriever, BaseRetriever):
        return {}
    search = _own(retriever, "search_many")
    names = set(signature(search).parameters) if search else {"k"}
    takes = signature(getattr(retriever, method)).parameters
    any_other = any(one.kind is one.VAR_KEYWORD for one in takes.values())
    return {
        name: given
        for name, given in asked.items()
        if name in names and (name in takes or any_other)
    }


def _own(retriever: RetrieverLike, method: str) -> Callable[..., Any] | None:
    """A method of its class: one around a retriever lends that one's and forgets what it binds."""
    return getattr(retriever, method) if hasattr(type(retriever), method) else None


def _config(search: Callable[..., Any], config: RunnableConfig | None) -> dict[str, Any]:
    return {"config": config} if "config" in signature(search).parameters else {}


def _is_sync(retriever: RetrieverLike) -> bool:
    """Whether it lacks an async method of its own: LangChain's knows no arguments."""
    own = getattr(type(retriever), "_aget_relevant_documents", None)
    return own is BaseRetriever._aget_relevant_documents  # noqa: SLF001


def _rankings(
    found: Sequence[Any], count: int, k: int, where: Filter | None
) -> list[list[Document] | Exception]:
    if len(found) != count:
        msg = f"it gave {len(found)} rankings for {count} queries"
        raise ValueError(msg)
    return [_ranking(one, k, where) for one in found]


def _ranking(found: object, k: int, where: Filter | None) -> list[Document] | Exception:
    if isinstance(found, Exception):
        return found
    try:
        documents = _documents(found)
    except TypeError as error:
        return error
    return [document for document in documents if matches(where, document.metadata)][:k]


def _documents(found: object) -> list[Document]:
    if not isinstance(found, list | tuple) or not all(isinstance(one, Document) for one in found):
        msg = f"The retriever gave {found!r:.80}, not a list of documents"
        raise TypeError(msg)
    return list(found)
