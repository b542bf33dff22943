"""What a store of a graph can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document

    from langchain_graft.graph.schema import Schema
    from langchain_graft.graph.types import FoundNode, GraphDocument, Subgraph

DEFAULT_DEPTH = 2
DEFAULT_LIMIT = 300
MOST_DEPTH = 10


def check_search(
    text: str | None, vector: Sequence[float] | None, *, k: int, has_vectors: bool
) -> None:
    """Raise ValueError for what `find_entities` can not look for."""
    if text is None and vector is None:
        msg = "find_entities needs a text or a vector"
        raise ValueError(msg)
    if vector is not None and not has_vectors:
        msg = "This graph is without vectors: open its store with embeddings=..."
        raise ValueError(msg)
    if k < 1:
        msg = f"k must be 1 or more, not {k!r}"
        raise ValueError(msg)


def check_expansion(depth: int, limit: int) -> None:
    """Raise ValueError for a depth or a limit that `expand` can not keep."""
    if not 0 <= depth <= MOST_DEPTH:
        msg = f"depth must be from 0 to {MOST_DEPTH}, not {depth!r}"
        raise ValueError(msg)
    if limit < 0:
        msg = f"limit must be 0 or more, not {limit!r}"
        raise ValueError(msg)


@runtime_checkable
class GraphStore(Protocol):
    """A graph that documents are put into and questions are asked of.

    `testing.GraphStoreTests` says what each method promises. Each has an async twin, `aschema` and
    so on, that does the same. Errors are `GraphError`s.
    """

    def schema(self, *, refresh: bool = False) -> Schema:
        """Labels, relationship types and properties; kept for a while unless `refresh`."""

    def add(self, graph_documents: Sequence[GraphDocument]) -> None:
        """Put documents in, all or none; what their chunks said before is replaced.

        A node or relationship that is there already gets the new mentions and properties besides.
        """

    def find_entities(
        self,
        text: str | None = None,
        *,
        vector: Sequence[float] | None = None,
        k: int = 10,
        label: str | None = None,
    ) -> list[FoundNode]:
        """Up to `k` nodes whose names (or aliases) fit the text, or whose vectors the vector."""

    def expand(
        self, ids: Sequence[str], *, depth: int = DEFAULT_DEPTH, limit: int = DEFAULT_LIMIT
    ) -> Subgraph:
        """The nodes, and what is at most `depth` steps away, in one round trip.

        Args:
            ids: Where to start; ids that are not there are passed over.
            depth: Steps, whichever way a relationship points; 0: the nodes alone.
            limit: Most relationships; those nearest to the start stay.
        """

    def chunks(self, ids: Sequence[str]) -> list[Document]:
        """The chunks with these ids, in this order; those that are not there are left out."""

    def remove(self, source_ids: Iterable[str]) -> None:
        """Take documents out: their chunks, and what no other chunk says."""

    def close(self) -> None:
        """Give back connections and files."""

    async def aschema(self, *, refresh: bool = False) -> Schema:
        """Like `schema`."""

    async def aadd(self, graph_documents: Sequence[GraphDocument]) -> None:
        """Like `add`."""

    async def afind_entities(
        self,
        text: str | None = None,
        *,
        vector: Sequence[float] | None = None,
        k: int = 10,
        label: str | None = None,
    ) -> list[FoundNode]:
        """Like `find_entities`."""

    async def aexpand(
        self, ids: Sequence[str], *, depth: int = DEFAULT_DEPTH, limit: int = DEFAULT_LIMIT
    ) -> Subgraph:
        """Like `expand`."""

    async def achunks(self, ids: Sequence[str]) -> list[Document]:
        """Like `chunks`."""

    async def aremove(self, source_ids: Iterable[str]) -> None:
        """Like `remove`."""
