"""Ranked paths as documents: the passages that they stand on, or the things that they tell of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_graft.graph.paths import word_relevance
from langchain_graft.graph.triples import node_text, triple_text
from langchain_graft.source_text import source_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_graft.graph.paths import Path, Walk
    from langchain_graft.graph.types import Node, Relationship, Subgraph

_PLAIN_WEIGHT = 0.5
_SOURCE = "graph"


def passage_documents(
    question: str, chunks: Sequence[Document], walk: Walk, paths: Sequence[Path], subgraph: Subgraph
) -> list[Document]:
    """The chunks, best first, each with the triples and paths that stand on it.

    score(chunk) = visits(chunk) * (0.5 + its share of the question's words), the visits being the
    walk's. The chunks themselves are not changed.
    """
    names = {node.id: node.name for node in subgraph.nodes}
    shares = word_relevance(question, [source_text(chunk) for chunk in chunks])
    made = []
    for chunk, share in zip(chunks, shares, strict=True):
        score = walk.chunks.get(str(chunk.id), 0.0) * (_PLAIN_WEIGHT + share)
        standing = [path for path in paths if _stands_on(path.relationships[-1], chunk.id)]
        made.append(_with_paths(chunk, score, standing, names, chunk.id))
    return sorted(made, key=lambda one: -one.metadata["score"])


def thing_documents(
    starts: Iterable[str], walk: Walk, paths: Sequence[Path], subgraph: Subgraph
) -> list[Document]:
    """What the graph says that no passage does: a document per thing, a line per triple.

    A triple is told of the end that is nearer to what the question names.
    """
    nodes = {node.id: node for node in subgraph.nodes}
    names = {id_: node.name for id_, node in nodes.items()}
    told: dict[str, list[Path]] = {
        id_: [] for id_ in starts if id_ in nodes and not nodes[id_].mentions
    }
    for path in paths:
        if not path.relationships[-1].mentions:
            told.setdefault(path.nodes[-2], []).append(path)
    made = []
    for id_, of in told.items():
        if not (of or nodes[id_].properties):
            continue
        lines = [node_text(nodes[id_]), *(_line(path, nodes) for path in of)]
        score = walk.nodes[id_] + math.fsum(path.score for path in of)
        document = Document(
            id=f"{_SOURCE}:{id_}",
            page_content="\n".join(f"- {line}." for line in lines),
            metadata={"source_id": f"{_SOURCE}:{names[id_]}", "title": names[id_]},
        )
        made.append(_with_paths(document, score, of, names, None))
    return sorted(made, key=lambda one: -one.metadata["score"])


def path_text(path: Path, names: Mapping[str, str]) -> str:
    """A path as its triples, one after another."""
    return "; ".join(triple_text(one, names) for one in path.relationships)


def _line(path: Path, nodes: Mapping[str, Node]) -> str:
    """The last triple, and what is known of its far end."""
    one, end = path.relationships[-1], nodes[path.nodes[-1]]
    text = triple_text(one, {id_: node.name for id_, node in nodes.items()})
    return f"{text}; {node_text(end)}" if end.properties else text


def _stands_on(one: Relationship, chunk_id: str | None) -> bool:
    return any(mention.chunk_id == chunk_id for mention in one.mentions)


def _with_paths(
    document: Document,
    score: float,
    paths: Sequence[Path],
    names: Mapping[str, str],
    chunk_id: str | None,
) -> Document:
    told: list[dict[str, Any]] = [
        {
            "text": path_text(path, names),
            "triples": [_triple(one, names, chunk_id) for one in path.relationships],
            "score": path.score,
        }
        for path in paths
    ]
    triples = {tuple(triple.items()): triple for one in told for triple in one["triples"][-1:]}
    added = {"score": score, "triples": list(triples.values()), "paths": told}
    return document.model_copy(update={"metadata": {**document.metadata, **added}})


def _triple(
    one: Relationship, names: Mapping[str, str], chunk_id: str | None
) -> dict[str, str | None]:
    mentions = sorted(one.mentions, key=lambda mention: mention.chunk_id != chunk_id)
    return {
        "source": names[one.source],
        "type": one.type,
        "target": names[one.target],
        "text": triple_text(one, names),
        "chunk_id": mentions[0].chunk_id if mentions else None,
        "quote": mentions[0].quote if mentions else None,
    }
