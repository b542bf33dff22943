"""Which documents an assistant sees next: pure, with the searching left to who runs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_graft.chains.packing import CountTokens, pack_documents
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from langchain_graft.agents.retrieve_config import RetrieveConfig

WIDENINGS = 4
"""How often a search is widened: to 3, 5, 7 and 9 times its size, as in AutoGen."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_MOST_QUERY_CHARACTERS = 500


class Search(NamedTuple):
    """A search that is to be run; the documents are sent back."""

    query: str
    k: int


Searching = Generator[Search, "Sequence[Document]", dict[str, Any]]
State = Mapping[str, Any]


def first_documents(state: State, config: RetrieveConfig, count: CountTokens) -> Searching:
    """The best documents for the question, as many as fit."""
    found = yield Search(state["question"], config.n_results)
    shown, left = _page(_new(found, state, config), config.context_tokens, count)
    return {
        "context": shown,
        "found": left,
        "seen": [document_key(one) for one in shown],
        "queries": [state["question"]],
        "widened": WIDENINGS if len(found) < config.n_results else 0,
    }


def other_documents(state: State, config: RetrieveConfig, count: CountTokens) -> Searching:
    """Documents in the place of those that did not help: the next ones, else of a wider search.

    The search is widened to n(2k + 1) documents, k = 1 to 4, until it brings one that was not
    shown, or fewer than were asked for.
    """
    left, k, queries = state["found"], state["widened"], list(state["queries"])
    how = "next"
    while not left and k < WIDENINGS:
        k, how = k + 1, "wider"
        wanted = config.n_results * (2 * k + 1)
        found = yield Search(state["question"], wanted)
        queries.append(state["question"])
        left = _new(found, state, config)
        k = WIDENINGS if len(found) < wanted else k
    shown, left = _page(left, config.context_tokens, count)
    return {
        "context": shown or state["context"],
        "found": left,
        "seen": [*state["seen"], *map(document_key, shown)],
        "queries": queries,
        "widened": k,
        "updates": [*state["updates"], how if shown else "nothing"],
    }


def further_documents(state: State, config: RetrieveConfig, count: CountTokens) -> Searching:
    """Documents beside those there are, found by the answer on the way.

    Its first sentence is the query, for n(2k + 1) documents, k = 0 to 4. What is new has half of
    the room, or more where there is; for that the last of the former ones leave.
    """
    query = first_sentence(state["reply"]) or state["question"]
    queries, new, k = list(state["queries"]), list[Any](), 0
    while not new and k <= WIDENINGS:
        wanted = config.n_results * (2 * k + 1)
        found = yield Search(query, wanted)
        queries.append(query)
        new = _new(found, state, config)
        k = WIDENINGS + 1 if len(found) < wanted else k + 1
    room = config.context_tokens
    shown, _ = _page(new, max(room - _tokens(state["context"], count), room // 2), count)
    kept, _ = _page(state["context"], max(room - _tokens(shown, count), 1), count)
    return {
        "context": [*kept, *shown] if shown else state["context"],
        "seen": [*state["seen"], *map(document_key, shown)],
        "queries": queries,
        "updates": [*state["updates"], "appended" if shown else "nothing"],
    }


def document_key(document: Document) -> str:
    """The document's id, or what stands for its text."""
    return document.id or sha256(document.page_content.encode(errors="replace")).hexdigest()[:24]


def first_sentence(reply: str) -> str:
    """The first sentence of a reply's first line, shortened."""
    line = next((line for line in reply.splitlines() if line.strip()), "")
    return _SENTENCE_END.split(line.strip())[0][:_MOST_QUERY_CHARACTERS]


def run_searching(
    searching: Searching, search: Callable[[Search], Sequence[Document]]
) -> dict[str, Any]:
    """Run it to its end with a function that searches."""
    try:
        asked = next(searching)
        while True:
            asked = searching.send(search(asked))
    except StopIteration as done:
        return dict(done.value)


def _new(found: Sequence[Document], state: State, config: RetrieveConfig) -> list[Document]:
    """What was not shown, each once, and has the string that is searched."""
    known, new = set(state["seen"]), []
    for document in found:
        key = document_key(document)
        wanted = document.page_content.strip() and config.search_string in document.page_content
        if wanted and key not in known:
            known.add(key)
            new.append(document)
    return new


def _page(
    documents: Sequence[Document], room: int, count: CountTokens
) -> tuple[list[Document], list[Document]]:
    """What of the documents fits, and what is left for later."""
    shown = pack_documents(documents, budget=room, count_tokens=count).documents
    waiting, left = list(reversed(shown)), []
    for document in documents:
        if waiting and _is_of(waiting[-1], document):
            waiting.pop()
        else:
            left.append(document)
    return shown, left


def _is_of(shown: Document, document: Document) -> bool:
    """Whether what is shown is the document, or its beginning."""
    return shown.id == document.id and document.page_content.startswith(shown.page_content)


def _tokens(documents: Sequence[Document], count: CountTokens) -> int:
    return sum(count(source_text(one)) for one in documents)
