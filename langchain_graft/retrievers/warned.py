"""What went wrong on the way to a document: told in its metadata, and in the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document

_MOST_CHARACTERS = 300
_logger = logging.getLogger(__name__)


def with_warnings(document: Document, warnings: Sequence[str]) -> Document:
    """A copy that also says what went wrong; the document itself when nothing did."""
    if not warnings:
        return document
    said = dict.fromkeys([*document.metadata.get("warnings", ()), *warnings])
    return document.model_copy(update={"metadata": {**document.metadata, "warnings": list(said)}})


def failure(what: str, error: Exception) -> str:
    """A warning that something failed, and of what."""
    return f"{what}: {type(error).__name__}: {error}"[:_MOST_CHARACTERS]


def all_warned(documents: Sequence[Document], warning: str) -> list[Document]:
    """The documents as they are, each with a line in `metadata["warnings"]`; it is logged."""
    _logger.warning("%s", warning)
    return [with_warnings(document, [warning]) for document in documents]
