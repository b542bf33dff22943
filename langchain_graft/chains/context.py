"""Documents on their way into a prompt: fetched, packed to a budget, stripped of control words."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever, RetrieverLike
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import run_in_executor

from langchain_graft.chains.inputs import question_of
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.retrievers.filters import matches
from langchain_graft.retrievers.index import check_search
from langchain_graft.sentences import sentence_spans
from langchain_graft.source_text import source_text as source_text  # noqa: PLC0414 (told here too)
from langchain_graft.source_text import without_control_words as without_control_words  # noqa: PLC0414 (told here too)

if TYPE_CHECKING:
    from langchain_core.documents import Document

CountTokens = Callable[[str], int]

_WORD = re.compile(r"[\u2e80-\u9fff]|[^\s\u2e80-\u9fff]+")
_AROUND_TOKENS = 8


def create_retrieval_step(
    retriever: RetrieverLike, *, budget: int | None, count_tokens: CountTokens
) -> Runnable[Mapping[str, Any], list[Document]]:
    """A step from `{"question"}` to the documents that go into the prompt.

    `k` and `filter` of `config["configurable"]` are read here and nowhere below. `k` reaches any
    retriever, the filter those of ours; both are applied to what comes back in any case.

    Args:
        retriever: Any LangChain retriever, or a Runnable from a question to documents.
        budget: Most tokens of all documents together; None: no limit.
        count_tokens: Text to its number of tokens.
    """
    takes = _taken_by(retriever)

    def kept(documents: Sequence[Document], asked: Mapping[str, Any]) -> list[Document]:
        passed = [
            document for document in documents if matches(asked.get("filter"), document.metadata)
        ]
        return pack_documents(passed[: asked.get("k")], budget=budget, count_tokens=count_tokens)

    def retrieve(state: Mapping[str, Any], config: RunnableConfig) -> list[Document]:
        asked = _asked(config)
        return kept(retriever.invoke(question_of(state), config, **takes(asked)), asked)

    async def aretrieve(state: Mapping[str, Any], config: RunnableConfig) -> list[Document]:
        asked = _asked(config)
        found = await retriever.ainvoke(question_of(state), config, **takes(asked))
        return await run_in_executor(compute_pool(), kept, found, asked)  # it counts tokens

    return RunnableLambda(retrieve, aretrieve, name="retrieve_documents")


def _taken_by(retriever: RetrieverLike) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Which settings of a call a retriever takes: `filter` is a dialect of ours, `k` is not."""
    if hasattr(retriever, "search_many"):
        return dict
    if isinstance(retriever, BaseRetriever):
        return lambda asked: {"k": asked["k"]} if "k" in asked else {}
    return lambda _: {}


def _asked(config: RunnableConfig) -> dict[str, Any]:
    """`k` and `filter` of a call, checked."""
    given = config.get("configurable", {})
    asked = {name: given[name] for name in ("k", "filter") if given.get(name) is not None}
    check_search(asked.get("k", 1), asked.get("filter"))
    return asked


def pack_documents(
    documents: Sequence[Document], *, budget: int | None, count_tokens: CountTokens
) -> list[Document]:
    """The documents that fit into a budget of tokens, in their order.

    A document that does not fit whole gives the sentences from its beginning that do, if they are
    about half of it or more. The first one gives what fits in any case, if need be up to a word
    within its first sentence. What comes behind is left out, unless it fits whole.

    Args:
        documents: Best first.
        budget: Most tokens of all together, titles included; None: all documents.
        count_tokens: Text to its number of tokens.
    """
    if budget is None:
        return list(documents)

    def tokens_of(document: Document) -> int:
        return count_tokens(source_text(document)) + _AROUND_TOKENS

    packed: list[Document] = []
    left = budget
    for document in documents:
        tokens = tokens_of(document)
        if tokens > left and (not packed or tokens < 2 * left):
            ends = _ends(document.page_content, within_sentences=not packed)
            document = _shortened(document, ends, left, tokens_of)  # noqa: PLW2901
            tokens = tokens_of(document)
        if tokens <= left and document.page_content:
            packed.append(document)
            left -= tokens
    return packed


def numbered_sources(documents: Sequence[Document]) -> str:
    """The documents as a prompt shows them, each under its number."""
    return "\n\n".join(f"[{n}] {source_text(document)}" for n, document in enumerate(documents, 1))


def token_counter_of(model: object) -> CountTokens:
    """How a model counts tokens, where it says so itself; otherwise an estimate.

    LangChain's own default asks the network for a tokenizer, which this never does.
    """
    own = isinstance(model, BaseChatModel) and model.custom_get_token_ids is not None
    return model.get_num_tokens if own else estimate_tokens  # type: ignore[attr-defined]


def _ends(text: str, *, within_sentences: bool) -> Iterator[Sequence[int]]:
    """Where a text may be cut, the best places first."""
    yield [span.end for span in sentence_spans(text)]
    if within_sentences:
        yield [word.end() for word in _WORD.finditer(text)]
        yield range(len(text) + 1)


def _shortened(
    document: Document,
    places: Iterable[Sequence[int]],
    room: int,
    tokens_of: Callable[[Document], int],
) -> Document:
    """The document up to the last place at which it has at most `room` tokens; empty if none."""

    def until(end: int) -> Document:
        return document.model_copy(update={"page_content": document.page_content[:end]})

    for ends in places:
        if fitting := bisect_right(ends, room, key=lambda end: tokens_of(until(end))):
            return until(ends[fitting - 1])
    return until(0)
