"""Knowledge graphs from documents: a model's claims, kept where the text bears them out."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_graft.errors import ReplyError
from langchain_graft.graph.claims import GraphRead, graph_of_claims
from langchain_graft.graph.extraction_reply import read_claims, says_none
from langchain_graft.graph.extraction_schema import LINES_SCHEMA, lines_grammar, schema_lines
from langchain_graft.graph.prompts import (
    EXTRACTION_AGAIN,
    EXTRACTION_EXAMPLES,
    EXTRACTION_PROMPT,
    EXTRACTION_SCHEMAS,
)
from langchain_graft.language import language_of
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.models.digest import digest_of
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.prompts import BasePromptTemplate
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_graft.graph.schema import Schema
    from langchain_graft.graph.types import GraphDocument

Output = Literal["auto", "lines", "grammar", "json"]

DEFAULT_MAX_TOKENS = 512
MOST_DOCUMENT_TOKENS = 2000
_ATTEMPTS = 2
_VERSION = 1
"""Part of the digest: counts the changes that make old replies worth asking again."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ExtractionReply:
    """What the model said of a document, and what it cost."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0


class Extractor:
    """Asks a model for the facts of documents, and reads its replies; the two steps of the chain.

    Apart they let a reply be kept, and read again without the model. Arguments as for
    `create_extraction_chain`.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        schema: Schema | None = None,
        strict: bool = False,
        output: Output = "auto",
        prompt: BasePromptTemplate[Any] = EXTRACTION_PROMPT,
        max_tokens: int = DEFAULT_MAX_TOKENS,
    ) -> None:
        require_variables(prompt, "document")
        if strict and not (schema and schema.nodes):
            msg = "strict=True needs a schema with at least one label: give schema=..."
            raise ValueError(msg)
        self.schema = schema
        self.strict = strict
        self._prompt = prompt
        self._output = _output_for(model) if output == "auto" else output
        self._ask = _bound(model, self._output, schema if strict else None, max_tokens)
        kind = "strict" if strict else "guided" if schema else "free"
        self._schema_text = (
            EXTRACTION_SCHEMAS[kind].format(schema=schema_lines(schema)) if schema else ""
        )
        self.digest = self._make_digest(model, max_tokens)
        """What a reply depends on: model, prompt, schema, settings."""

    def ask(self, document: Document, config: RunnableConfig | None = None) -> ExtractionReply:
        """The model's reply for a document.

        Raises:
            ReplyError: It can not be read, the second one neither.
        """
        replies: list[ExtractionReply] = []
        while (reply := _outcome(replies)) is None:
            messages = self._messages(document, replies)
            replies.append(_reply(self._ask.invoke(messages, config)))
        return reply

    async def aask(
        self, document: Document, config: RunnableConfig | None = None
    ) -> ExtractionReply:
        """Like `ask`."""
        replies: list[ExtractionReply] = []
        while (reply := _outcome(replies)) is None:
            messages = self._messages(document, replies)
            replies.append(_reply(await self._ask.ainvoke(messages, config)))
        return reply

    def read(self, reply: str, document: Document) -> GraphRead:
        """What a reply says that the document bears out, and what was dropped."""
        return graph_of_claims(
            read_claims(reply), document, schema=self.schema if self.strict else None
        )

    def prompt_tokens(self, document: Document) -> int:
        """An estimate of the tokens that asking for a document takes."""
        messages = self._messages(document, [])
        return sum(estimate_tokens(str(one.text)) for one in messages)

    def _messages(
        self, document: Document, replies: Sequence[ExtractionReply]
    ) -> list[BaseMessage]:
        text = source_text(document)
        if (tokens := estimate_tokens(text)) > MOST_DOCUMENT_TOKENS:
            msg = (
                f"The document {document.id!r} has some {tokens} tokens, expected at most "
                f"{MOST_DOCUMENT_TOKENS}: cut it into passages first"
            )
            raise ValueError(msg)
        examples = [
            turn
            for asked, reply in EXTRACTION_EXAMPLES[language_of(text)]
            for turn in (("human", asked), ("ai", reply))
        ]
        # A schema of the user's own speaks for itself; the examples' types would speak against it.
        given = {
            "document": text,
            "schema": self._schema_text,
            "examples": [] if self.strict else examples,
            "again": [
                turn
                for reply in replies[-1:]
                for turn in (AIMessage(reply.text or "?"), HumanMessage(EXTRACTION_AGAIN))
            ],
        }
        return self._prompt.invoke(given).to_messages()

    def _make_digest(self, model: BaseChatModel, max_tokens: int) -> str:
        probe = {"document": "", "schema": self._schema_text, "examples": [], "again": []}
        return digest_of(
            _VERSION,
            model._llm_type,  # noqa: SLF001  # as langchain_core's own cache keys do
            model._identifying_params,  # noqa: SLF001
            str(self._prompt.invoke(probe).to_string()),
            EXTRACTION_EXAMPLES,
            self.strict,
            self._output,
            max_tokens,
        )[:16]


def create_extraction_chain(
    model: BaseChatModel,
    *,
    schema: Schema | None = None,
    strict: bool = False,
    output: Output = "auto",
    prompt: BasePromptTemplate[Any] = EXTRACTION_PROMPT,
    max_tokens: int = DEFAULT_MAX_TOKENS,
) -> Runnable[Document, GraphDocument]:
    """A chain from a passage to what it says, as a graph.

    Every node and relationship says where the passage says it: a node the places of its name, a
    relationship the sentences that hold both ends. A claim whose ends are not in the text (nor, one
    of them, in its title or heading) is dropped; `source.metadata["dropped_claims"]` lists those.

    Args:
        model: Any chat model.
        schema: Labels, and relationship types with the labels of their ends; None: the model
            chooses. Properties are not asked for.
        strict: Nothing outside the schema is kept; else it is a hint.
        output: "lines" (`name | Type | RELATION | name | Type`), "grammar" (such lines,
            constrained; local models can), "json" (constrained by the service's structured
            output), or what suits the model: "grammar" with a strict schema on local models,
            "json" where the model's profile has structured output, else "lines".
        prompt: With the variable `document`, perhaps `schema`, `examples` and `again` (messages).
        max_tokens: Most tokens of a reply.

    Raises:
        ValueError: The prompt lacks a variable, or `strict` is asked for without a schema. When
            run: the document is longer than `MOST_DOCUMENT_TOKENS`.
        ReplyError: When run: neither reply of the model can be read.
    """
    extractor = Extractor(
        model, schema=schema, strict=strict, output=output, prompt=prompt, max_tokens=max_tokens
    )

    def extract(document: Document, config: RunnableConfig) -> GraphDocument:
        return _told(extractor.read(extractor.ask(document, config).text, document))

    async def aextract(document: Document, config: RunnableConfig) -> GraphDocument:
        reply = await extractor.aask(document, config)
        return _told(extractor.read(reply.text, document))

    return RunnableLambda(extract, afunc=aextract, name="extract_graph")


def _told(read: GraphRead) -> GraphDocument:
    if read.dropped:
        _logger.info("Dropped, not in the text: %s", "; ".join(read.dropped))
    return read.with_dropped()


def _output_for(model: BaseChatModel) -> Literal["lines", "grammar", "json"]:
    if getattr(model, "takes_grammars", False):
        return "grammar"
    profile = getattr(model, "profile", None) or {}
    return "json" if profile.get("structured_output") else "lines"


def _bound(
    model: BaseChatModel, output: Output, schema: Schema | None, max_tokens: int
) -> Runnable[LanguageModelInput, Any]:
    if output == "grammar" and schema is not None:
        grammar = {"grammar": lines_grammar(schema)}
        return ask_aside(model, max_tokens=max_tokens, extra_body=grammar)
    if output == "json":
        has_limit = "max_tokens" in type(model).model_fields
        bounded = model.model_copy(update={"max_tokens": max_tokens}) if has_limit else model
        return bounded.with_structured_output(LINES_SCHEMA, include_raw=True)
    return ask_aside(model, max_tokens=max_tokens)


def _reply(said: Any) -> ExtractionReply:
    """The text of a reply: a message, or what structured output gives with `include_raw`."""
    message = said["raw"] if isinstance(said, dict) else said
    text = str(message.text)
    calls = getattr(message, "tool_calls", ())
    if calls and not text.strip():
        text = json.dumps([call["args"] for call in calls], ensure_ascii=False)
    usage = message.usage_metadata or {}
    return ExtractionReply(
        text=text,
        input_tokens=usage.get("input_tokens", 0),
        output_tokens=usage.get("output_tokens", 0),
    )


def _outcome(replies: Sequence[ExtractionReply]) -> ExtractionReply | None:
    """The last reply, with what all of them cost; None: the model is to be asked (again)."""
    if replies and _is_readable(replies[-1].text):
        return ExtractionReply(
            text=replies[-1].text,
            input_tokens=sum(one.input_tokens for one in replies),
            output_tokens=sum(one.output_tokens for one in replies),
        )
    if len(replies) == _ATTEMPTS:
        raise _unreadable(replies[-1].text)
    return None


def _is_readable(reply: str) -> bool:
    return bool(read_claims(reply)) or says_none(reply)


def _unreadable(reply: str) -> ReplyError:
    msg = (
        f"The model's reply holds no fact that can be read, the second neither: {reply!r:.200}. "
        "Expected lines of the form name | Type | RELATION | name | Type. Take a larger model, or "
        "give it a schema"
    )
    return ReplyError(msg, reply=reply)
