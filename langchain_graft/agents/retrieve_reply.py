"""What an assistant's reply says, read from its own words and calls only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import uuid4

from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from langchain_graft.agents.prompts import UPDATE_CONTEXT
from langchain_graft.chains.citations import CitedAnswer
from langchain_graft.chains.refusal import is_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.messages import BaseMessage

_AROUND = re.compile(r"^[\s*_`\"'“”#>.:-]+|[\s*_`\"'“”.!:-]+$")
_REQUEST = re.compile(rf"[\s*_`#>]*{UPDATE_CONTEXT}[*_`]*[.!](?:\s|$)")
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_THINK = "<think>"
_TOOL_WORDS = re.compile(r"</?(?:tool_call|tools|tool_response|function_call|function)\b[^>\n]*>")
_MOST_LAYERS = 8


@tool(parse_docstring=False)
def update_context() -> str:
    """Ask for other documents, when those there are do not hold the answer."""
    return ""


def asks_for_update(reply: BaseMessage, *, refusing: bool) -> bool:
    """Whether a reply asks for other documents: by a call of the tool, or by how it begins.

    The words are its first line, or, as they were told to the model, its first sentence: models
    like to say why. A mention of them anywhere else says nothing, and what stands in documents is
    not read.

    Args:
        reply: Of the assistant.
        refusing: Whether to say that the documents do not hold the answer asks for others, too.
    """
    if isinstance(reply, AIMessage) and any(
        call["name"] == update_context.name for call in reply.tool_calls
    ):
        return True
    text = _THOUGHT.sub("", str(reply.text)).strip()
    line = text.split("\n", 1)[0] if text else ""
    asks = is_update_line(line) or bool(_REQUEST.match(line))
    return asks or (refusing and bool(text) and is_refusal(text))


def is_update_line(line: str) -> bool:
    """Whether a line is the request for other documents, and nothing else."""
    return " ".join(_AROUND.sub("", line).split()).upper() == UPDATE_CONTEXT


def without_tool_words(text: str) -> str:
    """A document's text without the tags between which local models write their tool calls."""
    for _ in range(_MOST_LAYERS):
        if (stripped := _TOOL_WORDS.sub(" ", text)) == text:
            break
        text = stripped
    return text.replace("<tool_call", "(tool_call")


class ReplyReader:
    """A reply on its way to the reader: held back while it may yet turn out to ask for documents.

    Args:
        documents: Those before the assistant; None: the reply is code and is left as it is.
        question: What is answered.
    """

    def __init__(self, documents: Sequence[Document] | None, *, question: str) -> None:
        self._cited = None if documents is None else CitedAnswer(documents, question=question)
        self._held = ""
        self._open = True
        self.id = f"reply-{uuid4()}"
        """Of the message that its pieces make up."""
        self.text = ""
        """The reply as a reader sees it."""

    def push(self, piece: str) -> str:
        """Take a piece from the model; what may leave now."""
        if self._open:
            self._held += piece
            if _may_become_update(self._held):
                return ""
            piece, self._held, self._open = self._held, "", False
        return self._leave(self._cited.push(piece) if self._cited else piece)

    def finish(self) -> str:
        """The model has ended: what was held back."""
        held, self._held = self._held, ""
        if not self._cited:
            return self._leave(held)
        return self._leave(self._cited.push(held) + self._cited.finish())

    def _leave(self, text: str) -> str:
        self.text += text
        return text


def _may_become_update(text: str) -> bool:
    text = _THOUGHT.sub("", text).lstrip()  # one that is not at its end is all that there is
    if text and _THINK.startswith(text.lower()):
        return True
    line, end, _ = text.partition("\n")
    bare = " ".join(_AROUND.sub("", line).split()).upper()
    if _REQUEST.match(line):
        return True
    if end:
        return bare == UPDATE_CONTEXT
    return UPDATE_CONTEXT.startswith(bare)
