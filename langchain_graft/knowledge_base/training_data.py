"""Rows to learn from, put together from a knowledge base and from a graph."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import CypherError, GraphError
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.finetune_bridge.training.rows import (
    EmbeddingRow,
    GeneratorRow,
    distinct_rows,
)
from langchain_graft.knowledge_base.journal import Journal
from langchain_graft.knowledge_base.manifest import JOURNAL
from langchain_graft.knowledge_base.prompts import QUESTION_PROMPT
from langchain_graft.models.asking import require_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate

    from langchain_graft.knowledge_base.journal import ChunkRecord
    from langchain_graft.knowledge_base.knowledge_base import KnowledgeBase

    OnProgress = Callable[[str, int, int], object]

TRAINING = "training"
"""The folder of a knowledge base with replies and runs."""
_BATCH = 32
_AT_ONCE = 8
_LONGEST_QUESTION = 300
_FEWEST_SIGNS = 20
"""A shorter passage has nothing to be asked about."""
_ROUND_TRIP = 10
_NEGATIVES = 4
_DEPTH = 50
_MARGIN = 0.95
_LABEL = re.compile(r"^\s*(?:question|问题|q)\s*[:：]\s*|^\s*\d+[.)]\s+", re.IGNORECASE)
_POINTS = re.compile(
    r"\bth(?:e|is|at)\s+(?:\w+\s+)?(?:passage|text|excerpt)\b|[本该原]文(?!化)|文[中章]|这[篇段]|段落",
    re.IGNORECASE,
)
"""A question that points at a text is of no use to somebody who has not seen it."""
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class MadeRows:
    """Rows, and what became of the rest."""

    rows: list[Any]
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Why something is no row, and how often."""


def rows_from_pairs(kb: KnowledgeBase) -> list[EmbeddingRow]:
    """The questions and answers that its documents have, such as those of an FAQ.

    A pair's question finds its answer. The knowledge base itself finds pairs by their question, so
    that these rows teach most about passages of running text.
    """
    rows = [
        EmbeddingRow(str(chunk.metadata["question"]), chunk.text, (), chunk.source_id)
        for chunk in _chunks(kb.folder)
        if str(chunk.metadata.get("question") or "").strip() and chunk.text.strip()
    ]
    return distinct_rows(rows)


def generate_rows(  # noqa: PLR0913 (who asks, what of, what is kept)
    kb: KnowledgeBase,
    model: BaseChatModel,
    *,
    most: int | None = None,
    k: int = _ROUND_TRIP,
    prompt: BasePromptTemplate[Any] = QUESTION_PROMPT,
    replies: ReplyCache | None = None,
    on_progress: OnProgress | None = None,
) -> MadeRows:
    """A question for each chunk, written by a chat model, kept if it finds its chunk again.

    The search that has to find it is the hybrid one, among the first `k`: a question that neither
    words nor meaning lead back from asks for something else (the round trip of Alberti et al.,
    arXiv 1906.05416). Replies are kept in the knowledge base's folder: when this is interrupted,
    calling it again goes on where it stopped.

    Args:
        kb: The knowledge base; its chunks are spread evenly when there are more than `most`.
        model: Writes the questions.
        most: Chunks that are asked about, at most; None: all.
        k: How far the round trip looks.
        prompt: Takes `passage`.
        replies: Another place for the replies.
        on_progress: Told ("ask", done, total).
    """
    require_variables(prompt, "passage")
    chunks = _spread([one for one in _chunks(kb.folder) if _can_be_asked(one)], most)
    kept = replies or _own_replies(kb.folder)
    retriever = kb.retriever("hybrid", k=k)
    chain = prompt | with_reply_cache(model, kept)
    rows, dropped = [], Counter[str]()
    for start in range(0, len(chunks), _BATCH):
        batch = chunks[start : start + _BATCH]
        said = chain.batch(
            [{"passage": _passage(one)} for one in batch], {"max_concurrency": _AT_ONCE}
        )
        asked = [
            (one, question)
            for one, reply in zip(batch, said, strict=True)
            if (question := _question(reply.text))
        ]
        dropped["no question"] += len(batch) - len(asked)
        found = retriever.search_many([question for _, question in asked]) if asked else []
        for (chunk, question), documents in zip(asked, found, strict=True):
            if chunk.id in {document.id for document in documents}:
                rows.append(EmbeddingRow(question, chunk.embedded_text, (), chunk.source_id))
            else:
                dropped["not found again"] += 1
        if on_progress:
            on_progress("ask", min(start + _BATCH, len(chunks)), len(chunks))
    if replies is None:
        kept.close()
    different = distinct_rows(rows)
    dropped["asked twice"] = len(rows) - len(different)
    return MadeRows(rows=different, dropped=dict(+dropped))


def mine_negatives(
    kb: KnowledgeBase,
    rows: Sequence[EmbeddingRow],
    *,
    count: int = _NEGATIVES,
    depth: int = _DEPTH,
    margin: float = _MARGIN,
    on_progress: OnProgress | None = None,
) -> MadeRows:
    """Rows with passages that look right and are not, as the search by meaning finds them.

    Left out, because they may be right: what scores above `margin` of the positive's score (NV-
    Retriever, arXiv 2407.15831), the positive's own document, and what any row pairs with the same
    query. A row whose positive is not among the first `depth` gets none: nothing says how high a
    wrong one may score.

    Args:
        kb: The knowledge base.
        rows: Their positives as it embeds them.
        count: Negatives of a row, at most; those that a row has stay.
        depth: How far is searched.
        margin: Share of the positive's score, from 0 to 1.
        on_progress: Told ("mine", done, total).

    Raises:
        ValueError: `margin` or a number is out of range.
    """
    if not 0 < margin <= 1 or count < 1 or depth <= count:
        msg = f"margin is {margin!r} (0 to 1), count {count!r} (1 or more, below depth {depth!r})"
        raise ValueError(msg)
    texts = {one.id: one.embedded_text for one in _chunks(kb.folder)}
    right: dict[str, set[str]] = {}
    for row in rows:
        right.setdefault(_normal(row.query), set()).add(_normal(row.positive))
    retriever, made, dropped = kb.retriever("vector", k=depth), [], Counter[str]()
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        for row, found in zip(
            batch, retriever.search_many([one.query for one in batch]), strict=True
        ):
            hits = [
                (texts[one.id], one.metadata["source_id"], one.metadata["score"])
                for one in found
                if one.id in texts
            ]
            negatives = _negatives(row, hits, right[_normal(row.query)], margin)
            made.append(_with_negatives(row, negatives[:count]))
            dropped["without negatives"] += not made[-1].negatives
        if on_progress:
            on_progress("mine", min(start + _BATCH, len(rows)), len(rows))
    return MadeRows(rows=made, dropped=dict(+dropped))


def text2cypher_rows(
    pairs: Iterable[tuple[str, str]],
    *,
    messages: Callable[[str], Sequence[Mapping[str, str]]],
    check: Callable[[str], object],
    run: Callable[[str], Sequence[object]],
    group: Callable[[str], str] | None = None,
) -> MadeRows:
    """Conversations from questions and their Cypher, kept if the statement reads and finds rows.

    Args:
        pairs: Questions with their statements.
        messages: What the serving chain says to the model for a question, as role and content:
            schema and wording have to be the same in training.
        check: Raises `CypherError` for what can not be parsed or does more than read, such as
            `check_read_only`.
        run: The rows of a statement; an error of the graph drops the pair.
        group: Of a question: what must not be on both sides of a split, such as its template.
    """
    rows, dropped = [], Counter[str]()
    for question, cypher in pairs:
        statement = _SPACE.sub(" ", cypher).strip()
        if reason := _unfit(statement, check, run):
            dropped[reason] += 1
            continue
        said = {"role": "assistant", "content": statement}
        named = group(question) if group else ""
        rows.append(GeneratorRow((*messages(question), said), group=named))
    different = distinct_rows(rows)
    dropped["asked twice"] = len(rows) - len(different)
    return MadeRows(rows=different, dropped=dict(+dropped))


def _unfit(
    cypher: str, check: Callable[[str], object], run: Callable[[str], Sequence[object]]
) -> str:
    """Why a statement teaches nothing; empty when it does."""
    try:
        check(cypher)
    except CypherError:
        return "does not parse or only read"
    try:
        return "" if run(cypher) else "finds nothing"
    except GraphError:
        return "fails"


def _negatives(
    row: EmbeddingRow, hits: Sequence[tuple[str, str, float]], right: set[str], margin: float
) -> list[str]:
    own = _normal(row.positive)
    scores = [score for text, _, score in hits if _normal(text) == own]
    if not scores:
        return []
    limit = margin * scores[0]
    return [
        text
        for text, source, score in hits
        if score < limit and source != row.group and _normal(text) not in right
    ]


def _with_negatives(row: EmbeddingRow, negatives: Sequence[str]) -> EmbeddingRow:
    return replace(row, negatives=tuple(dict.fromkeys((*row.negatives, *negatives))))


def _chunks(folder: Path) -> Iterator[ChunkRecord]:
    with closing(Journal(folder / JOURNAL, mode="ro")) as journal:
        yield from journal.indexed()


def _own_replies(folder: Path) -> ReplyCache:
    return ReplyCache(folder / TRAINING / "replies.sqlite")


def _can_be_asked(chunk: ChunkRecord) -> bool:
    return len(_passage(chunk)) >= _FEWEST_SIGNS


def _passage(chunk: ChunkRecord) -> str:
    """What the model reads: of a pair, question and answer."""
    if chunk.metadata.get("question"):
        return f"{chunk.embedded_text}\n{chunk.text}"
    return chunk.embedded_text


def _spread(chunks: list[ChunkRecord], most: int | None) -> list[ChunkRecord]:
    if most is None or len(chunks) <= most:
        return chunks
    return [chunks[n * len(chunks) // most] for n in range(most)]


def _question(reply: str) -> str:
    """The question in a reply; empty when there is none."""
    line = next((one for one in reply.splitlines() if one.strip()), "")
    line = _LABEL.sub("", line).strip().strip("\"'“”「」*").strip()
    is_asked = line.endswith(("?", "？")) and len(line) <= _LONGEST_QUESTION
    return line if is_asked and not _POINTS.search(line) else ""


def _normal(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()
