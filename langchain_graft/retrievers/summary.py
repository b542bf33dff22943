"""Summaries of documents, to be searched in their place."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from langchain_graft.language import language_of
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.retrievers.index import document_ids
from langchain_graft.retrievers.prompts import LANGUAGE_RULES, SUMMARY_PROMPT
from langchain_graft.retrievers.rerank import beginning
from langchain_graft.retrievers.rewriters.reply import read_passage
from langchain_graft.retrievers.together import ainvoke_each, invoke_each
from langchain_graft.retrievers.warned import failure, with_warnings
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable, RunnableConfig

NO_SUMMARY = "the document's beginning instead of a summary"
AT_ONCE = 4
"""Most documents that are summed up at the same time."""
_CONFIG: RunnableConfig = {"max_concurrency": AT_ONCE, "run_name": "sum_up"}
_MOST_READ_TOKENS = 2000
_MOST_TOKENS = 160
_logger = logging.getLogger(__name__)


def create_summaries(
    model: BaseChatModel,
    documents: Sequence[Document],
    *,
    prompt: BasePromptTemplate[Any] = SUMMARY_PROMPT,
    parent_key: str = "parent_id",
) -> list[Document]:
    """One summary per document, for an index whose hits lead to the originals (`ParentRetriever`).

    A summary has its document's metadata, and names it in `metadata[parent_key]`. Where the model
    fails, or says nothing, the document's beginning stands in for it, with a line in
    `metadata["warnings"]`. Of a long document the first 2000 tokens are read.

    Args:
        model: Any chat model.
        documents: Each with an id of its own.
        prompt: With the variable `document`, perhaps `language_rule`.
        parent_key: As for `ParentRetriever`.

    Raises:
        ValueError: A document has no id, or another one's, or the prompt lacks a variable.
    """
    summarise, variables = _asked(model, documents, prompt)
    replies = invoke_each(summarise, variables, _CONFIG)
    return _summaries(documents, replies, parent_key)


async def acreate_summaries(
    model: BaseChatModel,
    documents: Sequence[Document],
    *,
    prompt: BasePromptTemplate[Any] = SUMMARY_PROMPT,
    parent_key: str = "parent_id",
) -> list[Document]:
    """Like `create_summaries`."""
    summarise, variables = _asked(model, documents, prompt)
    replies = await ainvoke_each(summarise, variables, _CONFIG)
    return _summaries(documents, replies, parent_key)


def _asked(
    model: BaseChatModel, documents: Sequence[Document], prompt: BasePromptTemplate[Any]
) -> tuple[Runnable[dict[str, Any], Any], list[dict[str, Any]]]:
    require_variables(prompt, "document")
    document_ids(documents)
    texts = [beginning(source_text(one), max_tokens=_MOST_READ_TOKENS) for one in documents]
    variables = [
        {"document": text, "language_rule": LANGUAGE_RULES[language_of(text)]} for text in texts
    ]
    return prompt | ask_aside(model, max_tokens=_MOST_TOKENS), variables


def _summaries(
    documents: Sequence[Document], replies: Sequence[Any], parent_key: str
) -> list[Document]:
    return [
        _summary(document, reply, parent_key)
        for document, reply in zip(documents, replies, strict=True)
    ]


def _summary(document: Document, reply: Any, parent_key: str) -> Document:
    failed = isinstance(reply, Exception)
    text = "" if failed else read_passage(str(reply.text))
    warnings = []
    if not text:
        warnings = [failure(NO_SUMMARY, reply) if failed else f"{NO_SUMMARY}: the model wrote none"]
        _logger.warning("%s: %s", document.id, warnings[0])
        text = beginning(document.page_content, max_tokens=_MOST_TOKENS)
    metadata = {**document.metadata, parent_key: document.id}
    update = {"id": f"{document.id}-summary", "page_content": text, "metadata": metadata}
    return with_warnings(document.model_copy(update=update), warnings)
