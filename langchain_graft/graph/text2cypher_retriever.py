"""A graph's rows as documents: a question becomes Cypher, and each row a document."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import BasePromptTemplate
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr, SkipValidation, field_validator

from langchain_graft.graph.examples import CypherExamples
from langchain_graft.graph.prompts import CYPHER_PROMPT
from langchain_graft.graph.steps import ReadableGraph, arun_steps, run_steps
from langchain_graft.graph.text2cypher import (
    CypherAnswer,
    Text2CypherSettings,
    text2cypher_steps,
)
from langchain_graft.models.asking import ask_aside, require_variables

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_graft.graph.steps import Steps

STATEMENT_TOKENS = 300
_MOST_LISTED = 50
_MOST_CHARACTERS = 2000


class Text2CypherRetriever(BaseRetriever):
    """What a graph answers to a question in Cypher, a document for each row.

    The model writes a statement from the part of the schema that the question needs, the values
    that it mentions and examples like it; code mends what is surely wrong, checks it against the
    live schema, and runs it read-only with its literals as parameters. `page_content` is the row
    as `name: value` lines; `metadata` has `cypher`, `parameters`, `row` (from 1), `repairs` (what
    was mended) and `source_id`. No documents come where the graph does not hold what is asked.

    Raises:
        ReplyError: The model writes no statement that can be run.
        CypherRefusedError: It writes one that is not allowed.
        GraphError: The graph can not be read.

    Example:
        >>> retriever = Text2CypherRetriever(model=model, graph=Neo4jGraphStore())
        >>> retriever.invoke("Who directed The Matrix?")[0].page_content
        'name: Lana Wachowski'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: BaseChatModel
    graph: SkipValidation[ReadableGraph]
    """A `Neo4jGraphStore`; it is read, never written."""
    examples: CypherExamples | None = None
    """Questions with their statements; the ones most like the question are shown to the model."""
    embeddings: Embeddings | None = None
    """Ranks the schema's labels by meaning; None: by words."""
    prompt: BasePromptTemplate[Any] = CYPHER_PROMPT
    """With the variables `schema`, `values` and `input`; it may use `examples` and `again`."""
    settings: Text2CypherSettings = Field(default_factory=Text2CypherSettings)
    k: int | None = Field(default=None, ge=1)
    """Most documents; None: all rows that came back."""
    _asking: Any = PrivateAttr(default=None)

    @field_validator("prompt")
    @classmethod
    def _uses_its_variables(cls, prompt: BasePromptTemplate[Any]) -> BasePromptTemplate[Any]:
        require_variables(prompt, "schema", "values", "input")
        return prompt

    def answer(self, question: str, config: RunnableConfig | None = None) -> CypherAnswer:
        """The rows themselves, with the statement, and the reason where there is none."""
        return run_steps(
            self._steps(question), graph=self.graph, model=self._model(), config=config
        )

    async def aanswer(self, question: str, config: RunnableConfig | None = None) -> CypherAnswer:
        """Like `answer`."""
        return await arun_steps(
            self._steps(question), graph=self.graph, model=self._model(), config=config
        )

    def _steps(self, question: str) -> Steps[CypherAnswer]:
        return text2cypher_steps(
            question,
            settings=self.settings,
            prompt=self.prompt,
            examples=self.examples,
            embeddings=self.embeddings,
        )

    def _model(self) -> Runnable[Any, str]:
        asked = ask_aside(self.model, max_tokens=STATEMENT_TOKENS, temperature=0)
        return (asked | StrOutputParser()).with_config(run_name="write_cypher")

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        answer = self.answer(query, {"callbacks": run_manager.get_child()})
        return row_documents(answer)[: self.k]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        answer = await self.aanswer(query, {"callbacks": run_manager.get_child()})
        return row_documents(answer)[: self.k]


def row_documents(answer: CypherAnswer) -> list[Document]:
    """The rows as documents, in their order; a row's id says its statement and its values."""
    return [
        Document(
            id=_id(answer, number),
            page_content=row_text(row),
            metadata={
                "source_id": "graph",
                "cypher": answer.cypher,
                "parameters": answer.parameters,
                "row": number,
                "repairs": list(answer.repairs),
            },
        )
        for number, row in enumerate(answer.rows, 1)
    ]


def row_text(row: dict[str, Any]) -> str:
    """A row as lines: `title: The Matrix`; long lists of numbers (vectors) are left out."""
    lines = []
    for key, value in row.items():
        if isinstance(value, dict):
            inner = {name: one for name, one in value.items() if not name.startswith("_")}
            lines += [f"{name}: {_told(one)}" for name, one in inner.items() if not _is_vector(one)]
        elif not _is_vector(value):
            lines.append(f"{key.rpartition('.')[2] or key}: {_told(value)}")
    return "\n".join(lines)


def _told(value: object) -> str:
    if isinstance(value, str):
        return value[:_MOST_CHARACTERS]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)[:_MOST_CHARACTERS]
    return json.dumps(value, ensure_ascii=False, default=str)[:_MOST_CHARACTERS]


def _is_vector(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > _MOST_LISTED
        and all(isinstance(one, int | float) for one in value)
    )


def _id(answer: CypherAnswer, number: int) -> str:
    parts = [answer.cypher, answer.parameters, number, answer.rows[number - 1]]
    told = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:24]
