"""Rows for Self-RAG out of a knowledge base: questions, passages, answers and judgements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.documents import Document

from langchain_graft.chains.self_rag.critic_prompted import PromptedCritic
from langchain_graft.chains.self_rag.labelling import label_rows
from langchain_graft.chains.self_rag.paths import clean
from langchain_graft.chains.self_rag.roles import Draft
from langchain_graft.chains.self_rag.writer_chat import ChatWriter
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.finetune_bridge.training.rows import ReflectionRow, distinct_rows
from langchain_graft.knowledge_base.training_data import (
    TRAINING,
    MadeRows,
    generate_rows,
    mine_negatives,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.language_models import BaseChatModel

    from langchain_graft.finetune_bridge.training.rows import EmbeddingRow
    from langchain_graft.knowledge_base.knowledge_base import KnowledgeBase
    from langchain_graft.knowledge_base.training_data import OnProgress

_BATCH = 16
_ANSWER_TOKENS = 64


def reflection_rows(
    kb: KnowledgeBase,
    model: BaseChatModel,
    *,
    most: int,
    negatives: int = 1,
    on_progress: OnProgress | None = None,
) -> MadeRows:
    """Questions to its passages with answers from them, and passages that do not help, judged.

    The model asks (`generate_rows`), answers from the passage, and judges both: whether documents
    are needed, whether a passage helps, whether it says the answer, how useful that is. That a
    passage does not help is the model's judgement as well, of those that the search finds beside
    the right one. Such rows need documents, nearly all: give others that do not in a file. Replies
    are kept: when this is interrupted, calling it again goes on where it stopped.

    Args:
        kb: The knowledge base.
        model: Asks, answers and judges.
        most: Chunks that are asked about, at most.
        negatives: Other passages of each question, at most.
        on_progress: Told ("ask", done, total), then ("judge", done, total).
    """
    replies = ReplyCache(kb.folder / TRAINING / "replies.sqlite")
    try:
        asking = with_reply_cache(model, replies)
        made = generate_rows(kb, model, most=most, replies=replies, on_progress=on_progress)
        mined = mine_negatives(kb, made.rows, count=negatives)
        judged: list[ReflectionRow] = []
        critic = PromptedCritic(asking)
        for start in range(0, len(mined.rows), _BATCH):
            bare = _answered(mined.rows[start : start + _BATCH], asking)
            judged += label_rows(bare, critic)
            if on_progress:
                on_progress("judge", min(start + _BATCH, len(mined.rows)), len(mined.rows))
    finally:
        replies.close()
    return MadeRows(rows=distinct_rows(judged), dropped={**made.dropped, **mined.dropped})


def _answered(rows: Sequence[EmbeddingRow], model: BaseChatModel) -> list[ReflectionRow]:
    """Each question with its passage and an answer from it, and with its other passages."""
    drafts = [
        Draft(
            question=row.query,
            passage=Document(page_content=row.positive),
            max_tokens=_ANSWER_TOKENS,
        )
        for row in rows
    ]
    written = ChatWriter(model).write(drafts)
    return [
        made
        for row, one in zip(rows, written, strict=True)
        for made in _rows_of(row, clean(one.text))
    ]


def _rows_of(row: EmbeddingRow, answer: str) -> Iterable[ReflectionRow]:
    yield ReflectionRow(row.query, answer, row.positive, group=row.group)
    for negative in row.negatives:
        yield ReflectionRow(row.query, passage=negative, group=row.group)
