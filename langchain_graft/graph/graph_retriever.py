"""Graph RAG: what a graph has to do with a question, as triples and the passages they stand on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.config import run_in_executor
from pydantic import Field

from langchain_graft.errors import GraphError
from langchain_graft.graph.graph_documents import passage_documents, thing_documents
from langchain_graft.graph.paths import (
    Path,
    Walk,
    personalized_pagerank,
    ranked_paths,
    vector_relevance,
    within_budget,
    word_relevance,
)
from langchain_graft.graph.question_entities import (
    candidate_names,
    choose_entities,
    create_entity_step,
)
from langchain_graft.graph.store import DEFAULT_DEPTH, DEFAULT_LIMIT, GraphStore
from langchain_graft.graph.triples import triple_text
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.wording import content_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )

    from langchain_graft.graph.types import FoundNode, Subgraph

DEFAULT_K = 5
TOKEN_BUDGET = 1000
_BY_WORDS = 10
_BY_NAME = 5
_BY_VECTOR = 5
_VECTOR_WEIGHT = 0.3
_NEAR = 3
_WIDEN = 4
_logger = logging.getLogger(__name__)


class _Ranked(NamedTuple):
    """What a sub-graph has for a question."""

    subgraph: Subgraph
    starts: dict[str, float]
    walk: Walk
    paths: list[Path]

    def chunk_ids(self, most: int) -> list[str]:
        return sorted(self.walk.chunks, key=lambda id_: -self.walk.chunks[id_])[:most]


class GraphRetriever(BaseRetriever):
    """From the things that a question names, along their relationships, to what may answer it.

    The names in the question are looked up in the store, the sub-graph around them is read in one
    round trip, and a walk that starts at them (`personalized_pagerank`) says which relationships
    and which passages matter. No model is asked unless one is given.

    Documents, best first: the passages that the best triples stand on, as they are, each with
    `metadata["triples"]` (`source`, `type`, `target`, `text`, `quote`) and `metadata["paths"]`
    (`text`, `triples`, `score`); and where a triple stands on no passage, as in a graph that was
    made elsewhere, a document for the thing that it is about, with its properties and one line per
    triple. `metadata["score"]` falls from document to document.

    Example:
        >>> retriever = GraphRetriever(store=EmbeddedGraphStore("graph.sqlite"))
        >>> [document.page_content for document in retriever.invoke("Who founded NeXT?")]
        ['Steve Jobs founded NeXT in 1985 ...']
    """

    store: GraphStore
    model: BaseChatModel | None = None
    """Asked for the names in the question; None: found by rule (capitals, quotes, Chinese runs)."""
    embeddings: Embeddings | None = None
    """Ranks triples by meaning instead of by words, and finds things whose vectors the store keeps.

    Up to 64 short texts are embedded per question."""
    k: int = Field(default=DEFAULT_K, ge=1)
    depth: int = Field(default=DEFAULT_DEPTH, ge=0)
    """Steps from what the question names."""
    limit: int = Field(default=DEFAULT_LIMIT, ge=1)
    """Most relationships that are read."""
    token_budget: int = Field(default=TOKEN_BUDGET, ge=1)
    """Most tokens of all triples, by estimate; passages are as long as they are."""
    passes: Callable[[Document], bool] | None = None
    """Which documents may be given, such as those of a tenant; None: all."""
    fails_when_unknown: bool = False
    """Raise GraphError where the graph has nothing that the question names: a retriever that fuses
    tells so in its warnings. Otherwise the log says it, and there are no documents."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        names = self._names().invoke(query, {"callbacks": run_manager.get_child()})
        vector = self.embeddings.embed_query(query) if self.embeddings else None
        lookups = _lookups(query, names, vector)
        found = [self._find(lookup) for lookup in lookups]
        starts = self._starts(query, names, found)
        if not starts:
            return []
        subgraph = self.store.expand(list(starts), depth=self.depth, limit=self.limit)
        ranked = self._rank(query, vector, subgraph, starts)
        chunks = self.store.chunks(ranked.chunk_ids(_WIDEN * (k or self.k)))
        return self._documents(query, ranked, chunks, k or self.k)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        names = await self._names().ainvoke(query, {"callbacks": run_manager.get_child()})
        vector = await self.embeddings.aembed_query(query) if self.embeddings else None
        lookups = _lookups(query, names, vector)
        found = [await self._afind(lookup) for lookup in lookups]
        starts = self._starts(query, names, found)
        if not starts:
            return []
        subgraph = await self.store.aexpand(list(starts), depth=self.depth, limit=self.limit)
        pool = compute_pool()
        ranked = await run_in_executor(pool, self._rank, query, vector, subgraph, starts)
        chunks = await self.store.achunks(ranked.chunk_ids(_WIDEN * (k or self.k)))
        return await run_in_executor(pool, self._documents, query, ranked, chunks, k or self.k)

    def _find(self, lookup: dict[str, Any]) -> list[FoundNode]:
        try:
            return self.store.find_entities(**lookup)
        except ValueError:
            if "vector" not in lookup:
                raise
            return []  # the store keeps none

    async def _afind(self, lookup: dict[str, Any]) -> list[FoundNode]:
        try:
            return await self.store.afind_entities(**lookup)
        except ValueError:
            if "vector" not in lookup:
                raise
            return []

    def _names(self) -> Runnable[str, list[str]]:
        if self.model:
            return create_entity_step(self.model)
        return RunnableLambda(candidate_names, name="find_names")

    def _starts(
        self, query: str, names: Sequence[str], found: Sequence[Sequence[FoundNode]]
    ) -> dict[str, float]:
        """Where the walk starts: what the question names, or else what its words or vector fit.

        Raises:
            GraphError: There is nothing, and `fails_when_unknown`.
        """
        named = "; ".join([query, *(name for name in names if name not in query)])
        every = [one for of in found for one in of]
        by_words, by_vector = found[0], found[-1] if self.embeddings else []
        starts = choose_entities(named, every)
        if not starts:
            asked = content_words(query)
            near = [one for one in by_words if asked & content_words(one.node.name)]
            starts = {one.node.id: 1.0 for one in near[:_NEAR]}
        for one in by_vector:
            starts[one.node.id] = starts.get(one.node.id, 0.0) + _VECTOR_WEIGHT / len(by_vector)
        if not starts:
            msg = (
                f"the graph has nothing that the question {query!r:.200} names; ask with the names "
                "as the documents have them, or add documents to the graph"
            )
            if self.fails_when_unknown:
                raise GraphError(msg)
            _logger.warning("%s", msg)
        return starts

    def _rank(
        self,
        query: str,
        vector: list[float] | None,
        subgraph: Subgraph,
        starts: dict[str, float],
    ) -> _Ranked:
        known = {node.id for node in subgraph.nodes}
        if not known.intersection(starts):  # taken out meanwhile
            return _Ranked(subgraph, starts, Walk(nodes={}, relationships={}, chunks={}), [])
        names = {node.id: node.name for node in subgraph.nodes}
        texts = {one.key: triple_text(one, names) for one in subgraph.relationships}
        quotes = [
            " ".join([texts[one.key], *(mention.quote for mention in one.mentions[:1])])
            for one in subgraph.relationships
        ]
        scores = word_relevance(query, quotes)
        if vector is not None and self.embeddings:
            scores = vector_relevance(vector, quotes, scores, self.embeddings)
        relevance = dict(zip(texts, scores, strict=True))
        walk = personalized_pagerank(subgraph, starts, relevance=relevance)
        paths = ranked_paths(subgraph, walk, list(starts))
        kept = within_budget(paths, lambda one: estimate_tokens(texts[one.key]), self.token_budget)
        return _Ranked(subgraph, starts, walk, kept)

    def _documents(
        self, query: str, ranked: _Ranked, chunks: Sequence[Document], k: int
    ) -> list[Document]:
        passages = passage_documents(query, chunks, ranked.walk, ranked.paths, ranked.subgraph)
        things = thing_documents(ranked.starts, ranked.walk, ranked.paths, ranked.subgraph)
        every = sorted([*passages, *things], key=lambda one: -one.metadata["score"])
        return [one for one in every if not self.passes or self.passes(one)][:k]


def _lookups(
    query: str, names: Sequence[str], vector: Sequence[float] | None
) -> list[dict[str, Any]]:
    """What the store is asked for: the whole question first, the vector last."""
    lookups: list[dict[str, Any]] = [{"text": query, "k": _BY_WORDS}]
    lookups += [{"text": name, "k": _BY_NAME} for name in names if name != query]
    return [*lookups, {"vector": vector, "k": _BY_VECTOR}] if vector is not None else lookups
