"""What goes into a chain and what comes out."""

from __future__ import annotations

from typing import NotRequired

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from typing_extensions import TypedDict


class RagInput(TypedDict):
    """What a chain takes; a plain `str` is taken as `input`."""

    input: str
    chat_history: NotRequired[list[BaseMessage]]


class Citation(TypedDict):
    """A mark in an answer, and the words of the document that it stands for.

    The names that `langchain_core.messages.content.Citation` has mean the same here.
    """

    marker: int
    """The n of `[n]`: the n-th document of `context`, from 1."""
    document_id: str | None
    start_index: int
    """Where the marked sentence begins in the answer."""
    end_index: int
    cited_text: str
    """The document's words that come nearest to the sentence; empty when none do."""
    document_start: int
    """Where `cited_text` begins in the document's `page_content`."""
    document_end: int
    verified: bool
    """Whether those words hold what the sentence says."""


class RagOutput(TypedDict):
    """What a chain gives: LangChain's own retrieval-chain keys, and the citations."""

    input: str
    chat_history: list[BaseMessage]
    question: NotRequired[str]
    """In a conversation: the question as it was rewritten, searched and answered."""
    context: list[Document]
    answer: str
    citations: list[Citation]
