"""Questions about a whole collection, answered over the summaries of its graph's communities."""

from __future__ import annotations

import math
import re
import threading
from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.config import run_in_executor

from langchain_graft.chains.prompts import COMMUNITY_POINTS_PROMPT
from langchain_graft.chains.rag import RagSettings, create_grounded_stages
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.graph.paths import word_relevance
from langchain_graft.language import language_of
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import RunnableConfig

    from langchain_graft.chains.types import RagInput, RagOutput

MOST_CALLS = 8
PER_CALL = 3
_POINT_TOKENS = 96
_AT_ONCE = 2
_RULES = {"en": "Write in English.", "zh": "请用中文。"}
_NOTHING = re.compile(r"\W*(?:none|nothing|无|没有)\W*", re.IGNORECASE)


def create_graph_overview_chain(
    model: BaseChatModel,
    summaries: Sequence[Document] | Callable[[], Sequence[Document]],
    *,
    most_calls: int = MOST_CALLS,
    per_call: int = PER_CALL,
    points_prompt: BasePromptTemplate[Any] = COMMUNITY_POINTS_PROMPT,
    **settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, RagOutput]:
    """Answers a question about the whole from the summaries of communities, by map and reduce.

    The summaries that have most of the question's words come first, the larger communities among
    equals; the model is asked for the points that a few of them at a time have on the question
    (map), and answers from those points (reduce; Edge et al. 2024, GraphRAG). `context` holds the
    points, each naming its communities in `metadata["communities"]` and their passages in
    `chunk_ids`, and marks `[n]` count those.

    Args:
        model: Any chat model; it is asked at most `most_calls` + 2 times.
        summaries: By `create_community_summaries`; or what gives them, called with the first
            question.
        most_calls: Most calls of the map step.
        per_call: Summaries that one of them sees.
        points_prompt: With the variables `sources` and `input`.
        settings: As for `create_rag_chain`.

    Raises:
        ValueError: There are no summaries, or a prompt lacks a variable.
    """
    if not summaries:
        msg = "There are no summaries: make them by create_community_summaries(store, model)"
        raise ValueError(msg)
    require_variables(points_prompt, "sources", "input")
    ask = points_prompt | ask_aside(model, max_tokens=_POINT_TOKENS) | StrOutputParser()
    lock = threading.Lock()
    known: list[Document] = []

    def all_summaries() -> list[Document]:
        with lock:
            if not known:
                known.extend(summaries() if callable(summaries) else summaries)
            return known

    def groups(question: str) -> list[list[Document]]:
        listed = all_summaries()
        shares = word_relevance(question, [_text(one) for one in listed])
        order = sorted(range(len(listed)), key=lambda n: (-shares[n], n))
        first = [listed[n] for n in order[: most_calls * per_call]]
        count = math.ceil(len(first) / per_call)
        return [first[n * per_call : (n + 1) * per_call] for n in range(count)]

    def asked(question: str, parts: Sequence[Sequence[Document]]) -> list[dict[str, str]]:
        return [
            {
                "sources": "\n\n".join(source_text(one) for one in part),
                "input": question,
                "language_rule": _RULES[language_of(question)],
            }
            for part in parts
        ]

    def points(question: str, config: RunnableConfig) -> list[Document]:
        parts = groups(question)
        replies = ask.batch(asked(question, parts), {**config, "max_concurrency": _AT_ONCE})
        return _points(parts, replies)

    async def apoints(question: str, config: RunnableConfig) -> list[Document]:
        parts = await run_in_executor(None, groups, question)
        replies = await ask.abatch(asked(question, parts), {**config, "max_concurrency": _AT_ONCE})
        return _points(parts, replies)

    settings.setdefault("retrieval_seconds", None)  # the model is asked within
    found: Runnable[Any, list[Document]] = RunnableLambda(points, apoints, name="find_points")
    retrieval, answering = create_grounded_stages(model, found, **settings)
    return create_staged_chain(retrieval, last=answering, name="graph_overview_chain")


def _text(summary: Document) -> str:
    return " ".join([summary.page_content, *summary.metadata.get("names", ())])


def _points(parts: Sequence[Sequence[Document]], replies: Sequence[str]) -> list[Document]:
    return [
        Document(
            id=f"points:{number}",
            page_content=reply.strip(),
            metadata={
                "source_id": "; ".join(str(one.metadata["source_id"]) for one in part),
                "communities": [one.id for one in part],
                "chunk_ids": list(
                    dict.fromkeys(id_ for one in part for id_ in one.metadata.get("chunk_ids", ()))
                ),
            },
        )
        for number, (part, reply) in enumerate(zip(parts, replies, strict=True), 1)
        if reply.strip() and not _NOTHING.fullmatch(reply)
    ]
