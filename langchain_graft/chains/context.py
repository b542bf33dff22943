"""Documents on their way into a prompt: fetched, compressed, packed to a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, SupportsIndex

from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import run_in_executor

from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.packing import CountTokens, pack_documents
from langchain_graft.errors import RetrievalError
from langchain_graft.models.compute import compute_pool
from langchain_graft.retrievers.filters import matches
from langchain_graft.retrievers.fusion import check_weights
from langchain_graft.retrievers.index import check_search
from langchain_graft.retrievers.many import asearch_one, search_one
from langchain_graft.retrievers.together import acall_together, call_together, raised
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from langchain_core.documents.compressor import BaseDocumentCompressor
    from langchain_core.retrievers import RetrieverLike

RETRIEVAL_SECONDS = 60.0

RetrieverOf = Callable[[Mapping[str, Any]], "RetrieverLike | list[Document]"]
Order = Callable[[Sequence[Document]], Sequence[Document]]
Tell = Callable[["Sequence[Document]"], dict[str, Any]]
_SETTINGS = ("k", "filter", "weights", "budget")


def create_retrieval_step(  # noqa: C901, PLR0913 (the same step twice, sync and async)
    retriever: RetrieverLike | RetrieverOf,
    *,
    budget: int | None,
    count_tokens: CountTokens,
    compressor: BaseDocumentCompressor | None = None,
    order: Order | None = None,
    timeout_seconds: float | None = RETRIEVAL_SECONDS,
    tell: Tell | None = None,
) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    """A step from a question to `context`, `left_out` and `warnings`.

    `k`, `filter`, `weights` and `budget` of `config["configurable"]` are read here and nowhere
    below. `k` reaches any retriever, the filter those of ours, the weights those of ours that fuse;
    `k` and filter are applied to what comes back in any case.

    Args:
        retriever: Any LangChain retriever, or a Runnable from a question to documents; or a
            function from a chain's state to one, or to documents that were found before.
        budget: Most tokens of all documents together; None: no limit. That of a call goes before.
        count_tokens: Text to its number of tokens.
        compressor: What is done to the documents before they are packed.
        order: The packed documents in another order; None: best first.
        timeout_seconds: Most time for the retriever to answer; None: no limit. One that has a
            `timeout_seconds` itself, as `FusionRetriever` has, is trusted to hold to it.
        tell: What else the step gives, from the documents that were found.

    Raises:
        RetrievalError: In a run: the retriever took too long.
        ValueError: In a run: a setting of the call can not be used.
    """

    def passed(found: Sequence[Document], asked: Mapping[str, Any]) -> list[Document]:
        where = asked.get("filter")
        return [one for one in found if matches(where, one.metadata)][: asked.get("k")]

    def given(
        found: Sequence[Document], left: Sequence[Document], asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        most = asked.get("budget", budget)
        context, left_out = pack_documents(left, budget=most, count_tokens=count_tokens)
        told = tell(found) if tell else {}
        context = list(order(context)) if order else context
        return {**told, "context": context, "left_out": left_out, "warnings": _warnings(left)}

    def retrieve(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        asked, question = _asked(config), question_of(state)
        source = retriever if isinstance(retriever, Runnable) else retriever(state)
        if isinstance(source, list):
            return given(source, source, asked)
        found = passed(_search(source, question, config, asked, timeout_seconds), asked)
        if not (compressor and found):
            return given(found, found, asked)
        callbacks = config.get("callbacks")
        return given(found, compressor.compress_documents(found, question, callbacks), asked)

    async def aretrieve(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        asked, question = _asked(config), question_of(state)
        source = retriever if isinstance(retriever, Runnable) else retriever(state)
        if isinstance(source, list):
            return await _off_the_loop(given, source, source, asked)
        found = passed(await _asearch(source, question, config, asked, timeout_seconds), asked)
        if not (compressor and found):
            return await _off_the_loop(given, found, found, asked)
        callbacks = config.get("callbacks")
        left = await compressor.acompress_documents(found, question, callbacks)
        return await _off_the_loop(given, found, left, asked)

    return RunnableLambda(retrieve, aretrieve, name="retrieve_documents")


def _search(
    retriever: RetrieverLike,
    question: str,
    config: RunnableConfig,
    asked: Mapping[str, Any],
    timeout_seconds: float | None,
) -> list[Document]:
    if _bounds_itself(retriever):
        return search_one(retriever, question, config, asked=asked)
    calls = [lambda: search_one(retriever, question, config, asked=asked)]
    return _found(call_together(calls, timeout_seconds=timeout_seconds)[0])


async def _asearch(
    retriever: RetrieverLike,
    question: str,
    config: RunnableConfig,
    asked: Mapping[str, Any],
    timeout_seconds: float | None,
) -> list[Document]:
    if _bounds_itself(retriever):
        return await asearch_one(retriever, question, config, asked=asked)
    calls = [asearch_one(retriever, question, config, asked=asked)]
    return _found((await acall_together(calls, timeout_seconds=timeout_seconds))[0])


async def _off_the_loop(given: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What packs documents counts their tokens."""
    return await run_in_executor(compute_pool(), given, *arguments)


def _bounds_itself(retriever: RetrieverLike) -> bool:
    return getattr(retriever, "timeout_seconds", None) is not None


def _asked(config: RunnableConfig) -> dict[str, Any]:
    """The settings of a call, checked."""
    given = config.get("configurable", {})
    asked = {name: given[name] for name in _SETTINGS if given.get(name) is not None}
    check_search(asked.get("k", 1), asked.get("filter"))
    if "weights" in asked:
        _check_weights(asked["weights"])
    if "budget" in asked:
        _check_budget(asked["budget"])
    return asked


def _check_weights(weights: object) -> None:
    listed = isinstance(weights, list | tuple) and all(isinstance(one, Real) for one in weights)
    if not listed:
        msg = f"weights must be a list of numbers, one per retriever, not {weights!r:.80}"
        raise ValueError(msg)
    check_weights(weights, count=len(weights))  # type: ignore[arg-type]


def _check_budget(budget: object) -> None:
    if not isinstance(budget, SupportsIndex) or budget.__index__() < 1:
        msg = f"budget must be a whole number of tokens, 1 or more, not {budget!r}"
        raise ValueError(msg)


def _found(found: list[Document] | Exception) -> list[Document]:
    if isinstance(found, TimeoutError):
        raise RetrievalError([str(found) or "TimeoutError"]) from found
    return raised(found)


def _warnings(documents: Sequence[Document]) -> list[str]:
    """What retrievers say that went wrong, once each."""
    return list(dict.fromkeys(w for one in documents for w in one.metadata.get("warnings", ())))


def numbered_sources(documents: Sequence[Document]) -> str:
    """The documents as a prompt shows them, each under its number."""
    return "\n\n".join(f"[{n}] {source_text(document)}" for n, document in enumerate(documents, 1))
