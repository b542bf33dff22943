"""What goes into a chain and what comes out."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

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


class LeftOut(TypedDict):
    """What was found and had no room in the prompt."""

    document_id: str | None
    source_id: str | None
    reason: Literal["budget", "cut"]
    """The whole document is left out, or its last sentences."""
    tokens: int
    """How many were left out."""


class Step(TypedDict):
    """A question that was answered on the way to the answer."""

    question: str
    """As it was searched: with earlier answers filled in."""
    answer: str
    documents: list[Document]
    """Those that the answer stands on; none when it was not found."""


class Triple(TypedDict):
    """A relationship of a graph, and where a document says so."""

    source: str
    """Name of the thing that it starts from."""
    type: str
    target: str
    text: str
    """The three as a short sentence."""
    chunk_id: str | None
    """The passage that says so; None in a graph that was made elsewhere."""
    quote: str | None


class GraphPath(TypedDict):
    """Triples that lead from what a question names to what may answer it."""

    text: str
    triples: list[Triple]
    score: float
    """Higher is better; of use within one answer only."""
    documents: list[str | None]
    """Ids of the documents that were found by it."""


class SegmentCandidate(TypedDict):
    """What a segment of an answer could have been, from one passage or from none."""

    text: str
    document_id: str | None
    marker: int | None
    """The n-th document of `context`, from 1; None: written from no passage."""
    fluency: float
    """exp(mean log-probability of its tokens); 0 where the model tells none."""
    relevance: dict[str, float]
    """Probabilities by label; empty where nobody judged it."""
    support: dict[str, float]
    utility: dict[str, float]
    scores: dict[str, float]
    """Of relevance, support and utility, before they are weighed."""
    score: float | None
    """All together; None: it was not scored."""
    chosen: bool
    dropped: str
    """Why it could not be chosen; empty: it could."""


class SelfRagSegment(TypedDict):
    """How one segment of an answer was come by."""

    text: str
    """Without marks; empty where none was found that could go on."""
    query: str
    """What was searched for; empty where nothing was."""
    decision: str
    """"retrieve", "continue" (with the passages there were) or "none"."""
    probability: float | None
    """Of retrieving; None: nobody was asked, or could tell."""
    threshold: float
    retrieve: dict[str, float]
    """Probabilities by label."""
    correction: str
    """"correct", "ambiguous" or "incorrect", where retrieval was judged."""
    economy: str
    """What was done without, for want of budget; empty: nothing."""
    candidates: list[SegmentCandidate]


class SelfRagDecision(TypedDict):
    """Whether a question needs documents, and which of them help."""

    input: str
    retrieve: bool
    probability: float | None
    """Of retrieving; None: nobody was asked, or could tell."""
    context: list[Document]
    """The relevant ones, best first; where nobody judged them all that were found."""
    relevances: list[float]
    """Of the documents, from 0 to 1; empty where nobody judged them."""
    correction: str
    """"correct", "ambiguous" or "incorrect", where retrieval was judged."""
    left_out: list[LeftOut]
    warnings: list[str]


class RagOutput(TypedDict):
    """What a chain gives: LangChain's own retrieval-chain keys, and the citations.

    Other keys that were given pass through.
    """

    input: str
    chat_history: list[BaseMessage]
    question: NotRequired[str]
    """In a conversation: the question as it was rewritten, searched and answered."""
    route: NotRequired[str]
    """From a router: the route that was taken."""
    queries: NotRequired[list[str]]
    """From RAG-Fusion: the queries that found the documents, those of the best one first."""
    step_back_question: NotRequired[str]
    """From step-back: the more general question; empty when the model gave none."""
    principle: NotRequired[str]
    """From step-back without a retriever: the answer to the step-back question."""
    steps: NotRequired[list[Step]]
    """From several steps: what was asked on the way; none for a simple question."""
    paths: NotRequired[list[GraphPath]]
    """From Graph RAG: how the graph leads to the documents, best first."""
    cypher: NotRequired[str]
    """From text2cypher: the statement as it was run; empty when none was."""
    parameters: NotRequired[dict[str, Any]]
    """From text2cypher: the statement's parameters."""
    rows: NotRequired[list[dict[str, Any]]]
    """From text2cypher: what the graph gave."""
    repairs: NotRequired[list[str]]
    """From text2cypher: what was mended in the statement, or why there is none."""
    segments: NotRequired[list[SelfRagSegment]]
    """From Self-RAG: each segment of the answer, with what was decided and why."""
    context: list[Document]
    left_out: list[LeftOut]
    """What was found and did not fit into the budget, best first."""
    warnings: list[str]
    """What did not work while documents were looked for, such as a retriever that failed."""
    answer: str
    citations: list[Citation]
