"""Which parts of a sub-graph matter to a question: a walk that starts at what the question names.

Personalised PageRank, as in HippoRAG (Gutierrez et al., 2024; 2025 with passages in the graph): a
walker starts at one of the question's entities, goes along relationships and to the passages that
mention things, and starts anew every other step or so. Where we differ: a relationship is walked
the more often the more it has to do with the question, and what ranks is how often a relationship
is walked, not how often its ends are visited: a hub is visited often, and each of its hundred
relationships is still walked seldom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.wording import content_words

try:
    import igraph
except ImportError as error:
    raise MissingExtraError("graph") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langchain_core.embeddings import Embeddings

    from langchain_graft.graph.types import Relationship, Subgraph

    Key = tuple[str, str, str]

DAMPING = 0.5
"""HippoRAG's: how likely the walker goes on."""
_LEAST_WEIGHT = 0.1
_MENTION_WEIGHT = 0.5
_FAR = 1e6
_EMBEDDED = 64


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How often a walker is where; shares of all steps, higher is better."""

    nodes: Mapping[str, float]
    relationships: Mapping[Key, float]
    chunks: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Path:
    """Relationships one after another, from what the question names to what may answer it."""

    relationships: tuple[Relationship, ...]
    nodes: tuple[str, ...]
    """Ids, one more than there are relationships."""
    score: float = field(compare=False)


def word_relevance(question: str, texts: Sequence[str]) -> list[float]:
    """How much of the question's words each text has, from 0 to 1.

    A word counts as in BM25, log(1 + (n - held + 0.5) / (held + 0.5)), `held` being the number of
    the n texts that have it: one that all have, such as the name they were found by, says little.
    """
    asked = content_words(question)
    held = [content_words(text) & asked for text in texts]
    counts = {word: sum(word in one for one in held) for word in asked}
    weights = {
        word: math.log1p((len(texts) - count + 0.5) / (count + 0.5))
        for word, count in counts.items()
    }
    whole = math.fsum(weights.values())
    return [math.fsum(weights[word] for word in one) / whole if whole else 0.0 for one in held]


def vector_relevance(
    question: Sequence[float], texts: Sequence[str], scores: Sequence[float], embeddings: Embeddings
) -> list[float]:
    """The mean of word relevance and cosine, for the texts that words put first; half for others.

    Args:
        question: Its vector.
        texts: What is ranked; 64 of them are embedded.
        scores: Word relevance, one per text.
        embeddings: Any embedder.
    """
    first = sorted(range(len(texts)), key=lambda n: -scores[n])[:_EMBEDDED]
    vectors = embeddings.embed_documents([texts[n] for n in first])
    mixed = [score / 2 for score in scores]
    for n, vector in zip(first, vectors, strict=True):
        lengths = math.hypot(*question) * math.hypot(*vector)
        cosine = (
            math.fsum(a * b for a, b in zip(question, vector, strict=True)) / lengths
            if lengths
            else 0.0
        )
        mixed[n] += max(0.0, cosine) / 2
    return mixed


def personalized_pagerank(
    subgraph: Subgraph,
    starts: Mapping[str, float],
    *,
    relevance: Mapping[Key, float],
    damping: float = DAMPING,
) -> Walk:
    """Where a walker from these nodes is how often.

    A relationship weighs 0.1 + its relevance, a mention half of 0.1 + the best relevance of what
    the chunk says about the node. A relationship's share is what goes over it both ways:
    share(r) = visits(source) * w(r) / w(source) + visits(target) * w(r) / w(target), w(n) being the
    sum of all that a node is part of.

    Args:
        subgraph: Where it walks, whichever way relationships point.
        starts: How likely it starts at each node, in any unit; ids that are not there are passed
            over.
        relevance: Of relationships to the question, 0 to 1; missing ones have 0.
        damping: How likely it goes on, from 0 to below 1.

    Raises:
        ValueError: It can start nowhere.
    """
    chunks = _mentions(subgraph, relevance)
    ids = [node.id for node in subgraph.nodes]
    places = {("node", id_): n for n, id_ in enumerate(ids)}
    for _, chunk in chunks:
        places.setdefault(("chunk", chunk), len(places))
    reset = [0.0] * len(places)
    for id_, weight in starts.items():
        if ("node", id_) in places:
            reset[places["node", id_]] = weight
    if not any(reset):
        msg = f"None of the starts {list(starts)!r:.200} is in the sub-graph of {len(ids)} nodes"
        raise ValueError(msg)
    keys = [one.key for one in subgraph.relationships]
    edges = [(places["node", source], places["node", target]) for source, _, target in keys]
    edges += [(places["node", node], places["chunk", chunk]) for node, chunk in chunks]
    weights = [_LEAST_WEIGHT + relevance.get(key, 0.0) for key in keys] + list(chunks.values())
    graph = igraph.Graph(n=len(places), edges=edges)
    visits = graph.personalized_pagerank(
        directed=False, damping=damping, reset=reset, weights=weights
    )
    strength = graph.strength(weights=weights)
    flow = [
        sum(visits[end] * weight / strength[end] for end in edge)
        for edge, weight in zip(edges, weights, strict=True)
    ]
    return Walk(
        nodes={id_: visits[n] for n, id_ in enumerate(ids)},
        relationships=dict(zip(keys, flow, strict=False)),
        chunks={name: visits[n] for (kind, name), n in places.items() if kind == "chunk"},
    )


def ranked_paths(subgraph: Subgraph, walk: Walk, starts: Sequence[str]) -> list[Path]:
    """Each relationship behind the best way to it from a start, and the ways between starts.

    A path scores the mean share of its relationships, one that joins two starts twice that. One
    whose relationships are all in better ones is left out.

    Args:
        subgraph: What was walked.
        walk: By `personalized_pagerank`.
        starts: Ids; those that are not there are passed over.

    Returns:
        Best first.
    """
    known = [id_ for id_ in dict.fromkeys(starts) if id_ in walk.nodes]
    ways = _ways(subgraph, walk, known)
    found = [
        path for one in subgraph.relationships if (path := _path_over(one, ways, walk)) is not None
    ]
    found += [
        _path(start, way, walk, times=2.0)
        for n, start in enumerate(known)
        for end in known[n + 1 :]
        if (way := ways[start].get(end))
    ]
    kept: list[Path] = []
    told: set[Key] = set()
    for path in sorted(found, key=lambda path: -path.score):
        keys = {one.key for one in path.relationships}
        if not keys <= told:
            told |= keys
            kept.append(path)
    return kept


def within_budget(
    paths: Iterable[Path], tokens_of: Callable[[Relationship], int], budget: int
) -> list[Path]:
    """The first paths that fit into a budget of tokens; a relationship counts once."""
    kept: list[Path] = []
    told: set[Key] = set()
    left = budget
    for path in paths:
        new = [one for one in path.relationships if one.key not in told]
        cost = sum(tokens_of(one) for one in new)
        if cost > left:
            break
        left -= cost
        told |= {one.key for one in new}
        kept.append(path)
    return kept


def _mentions(subgraph: Subgraph, relevance: Mapping[Key, float]) -> dict[tuple[str, str], float]:
    """Which node is mentioned in which chunk, and what that weighs."""
    best: dict[tuple[str, str], float] = {}
    for node in subgraph.nodes:
        for mention in node.mentions:
            best.setdefault((node.id, mention.chunk_id), 0.0)
    for one in subgraph.relationships:
        for mention in one.mentions:
            for end in (one.source, one.target):
                pair = (end, mention.chunk_id)
                best[pair] = max(best.get(pair, 0.0), relevance.get(one.key, 0.0))
    return {pair: _MENTION_WEIGHT * (_LEAST_WEIGHT + of) for pair, of in best.items()}


def _ways(
    subgraph: Subgraph, walk: Walk, starts: Sequence[str]
) -> dict[str, dict[str, list[Relationship]]]:
    """From each start to each node that can be reached: few steps, and those walked often."""
    ids = [node.id for node in subgraph.nodes]
    places = {id_: n for n, id_ in enumerate(ids)}
    edges = [(places[one.source], places[one.target]) for one in subgraph.relationships]
    most = max(walk.relationships.values(), default=0.0)
    costs = [
        1 + math.log(most / share) if (share := walk.relationships[one.key]) > 0 else _FAR
        for one in subgraph.relationships
    ]
    graph = igraph.Graph(n=len(ids), edges=edges)
    ways: dict[str, dict[str, list[Relationship]]] = {}
    for start in starts:
        near = graph.subcomponent(places[start])
        found = graph.get_shortest_paths(places[start], near, weights=costs, output="epath")
        ways[start] = {
            ids[end]: [subgraph.relationships[n] for n in way]
            for end, way in zip(near, found, strict=True)
        }
    return ways


def _path_over(
    one: Relationship, ways: Mapping[str, Mapping[str, list[Relationship]]], walk: Walk
) -> Path | None:
    """The shortest way from any start to a relationship, and over it."""
    led = [
        (len(way), start, way)
        for start, of in ways.items()
        for end in (one.source, one.target)
        if (way := of.get(end)) is not None
    ]
    if not led:
        return None
    _, start, way = min(led, key=lambda found: found[0])
    return _path(start, way if one in way else [*way, one], walk)


def _path(start: str, way: Sequence[Relationship], walk: Walk, *, times: float = 1.0) -> Path:
    nodes = [start]
    for one in way:
        nodes.append(one.target if one.source == nodes[-1] else one.source)
    score = times * math.fsum(walk.relationships[one.key] for one in way) / len(way)
    return Path(relationships=tuple(way), nodes=tuple(nodes), score=score)
