"""A graph from one store into another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from langchain_graft.graph.store import GraphStore
from langchain_graft.graph.whole_graph import PagedStore

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 200


@runtime_checkable
class CopyableStore(GraphStore, PagedStore, Protocol):
    """A store that gives back what was put in, chunk by chunk."""


def copy_graph(
    source: CopyableStore,
    target: CopyableStore,
    *,
    on_progress: Callable[[int], None] | None = None,
    batch: int = BATCH,
) -> int:
    """Put what one store holds into another, and say how many chunks that took.

    Chunks that the target holds alike are passed over: a copy that was interrupted goes on where
    it was when it is called again. What the target holds besides stays.

    Args:
        source: A graph that `add` has made.
        target: Where to; its own vectors are made by its own embedder.
        on_progress: Called with the number of chunks that have been looked at.
        batch: Chunks that are read and written at a time.

    Raises:
        GraphError: One of the two can not be read or written; whole batches are there.
    """
    after, seen, written = "", 0, 0
    while ids := source.chunk_ids(after=after, limit=batch):
        there = {str(one.source.id): one for one in target.graph_documents(ids)}
        asked = source.graph_documents(ids)
        new = [one for one in asked if there.get(str(one.source.id)) != one]
        target.add(new)
        after, seen, written = ids[-1], seen + len(ids), written + len(new)
        if on_progress:
            on_progress(seen)
    return written
