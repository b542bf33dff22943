"""A document's text on its way into a prompt, without what could steer a model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.documents import Document

_CONTROL = re.compile(
    r"<[|｜][^|｜<>\n]{1,40}[|｜]>"
    r"|</?(?:s|bos|eos|pad|think|paragraph|start_of_turn|end_of_turn)>|\[/?INST\]|<</?SYS>>"
    r"|\[(?:Retrieval|No Retrieval|Continue to Use Evidence|Relevant|Irrelevant|Fully supported"
    r"|Partially supported|No support / Contradictory|Utility:\d)\]"
    r"|(?-i:(?<![A-Za-z])(?:TERMINATE|UPDATE\s+CONTEXT)(?![A-Za-z]))",
    re.IGNORECASE,
)
_HALVES = re.compile(r"<[|｜]|[|｜]>")
_MOST_LAYERS = 8
_FOREIGN_MARK = re.compile(r"[\[【［]\s*(\^?\d{1,3}(?:[\s,，、;；&^–-]+\d{1,3})*)\s*[\]】］]")


def source_text(document: Document) -> str:
    """A document as a model sees it: under its title and heading, a pair with its question."""
    metadata = document.metadata
    names = [metadata.get(key) for key in ("title", "heading")]
    above = " - ".join(dict.fromkeys(str(name) for name in names if name))
    lines = [above and f"({above})", metadata.get("question"), document.page_content]
    return without_control_words("\n".join(str(line) for line in lines if line))


def without_control_words(text: str) -> str:
    """A document's text without what could steer a model: chat templates' and reflection tokens.

    Marks such as [3] that stand in the document become (3), so that they are not taken for ours.
    """
    for _ in range(_MOST_LAYERS):  # what is left may make another one
        if (stripped := _CONTROL.sub(" ", text)) == text:
            break
        text = stripped
    else:  # wrapped on purpose, ten thousand times perhaps
        return without_control_words(_HALVES.sub(" ", text))
    return _FOREIGN_MARK.sub(r"(\1)", text)
