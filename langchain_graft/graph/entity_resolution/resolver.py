"""Entity resolution: which of the things that documents speak of are one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError
from langchain_graft.graph.entity_resolution.candidates import candidate_pairs
from langchain_graft.graph.entity_resolution.entities import (
    Entity,
    collect_entities,
    said_pairs,
)
from langchain_graft.graph.entity_resolution.names import (
    NEAR,
    SAID,
    NameMatch,
    core_name,
    match_names,
    names_conflict,
    plain_name,
)
from langchain_graft.graph.entity_resolution.resolution import Merge, Resolution
from langchain_graft.graph.entity_resolution.same_entity import SameEntityModel
from langchain_graft.graph.entity_resolution.union_find import UnionFind
from langchain_graft.language import language_of

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("graph") from error

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from langchain_graft.graph.types import GraphDocument


_MOST_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class ResolutionSettings:
    """When two entities are one. A score is the name's prior, plus what the context says."""

    threshold: float = 0.55
    """From this score on they are."""
    grey: float = 0.45
    """From this score on a model is asked, if there is one; below they are not."""
    context_weight: float = 0.3
    """Of the cosine between the contexts (centred: strangers have 0)."""
    neighbour: float = 0.12
    """For each thing that both are mentioned with, up to two."""
    only_one: float = 0.1
    """For a short name that fits one longer name only."""
    same_document: float = 0.25
    """For two names in one document; a document uses several names for one thing."""
    most_model_calls: int = 200

    def __post_init__(self) -> None:
        if not 0 <= self.grey <= self.threshold <= 1:
            msg = (
                f"Expected 0 <= grey <= threshold <= 1, not grey={self.grey!r}, "
                f"threshold={self.threshold!r}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class _Edge:
    """Two entities whose names can be one thing's."""

    one: int
    other: int
    match: NameMatch
    bonus: float


def resolve_entities(
    documents: Sequence[GraphDocument],
    *,
    embeddings: Embeddings | None = None,
    model: BaseChatModel | None = None,
    settings: ResolutionSettings | None = None,
    undone: Collection[tuple[str, str]] = (),
    known: Mapping[tuple[str, str], bool] | None = None,
) -> Resolution:
    """Find the entities that are one.

    What one document calls by one name is an entity. Pairs that share a word, initials, characters
    or nearest vectors are compared: the reason why the names fit gives a prior; what the two groups
    are mentioned with, and their contexts' vectors, add to it or take from it (Bhattacharya and
    Getoor, Collective Entity Resolution, 2007). Groups are joined by union-find, the surest pair
    first, until nothing more joins: homonyms ("Michael Jordan", who teaches, and who plays) stay
    apart because what their groups are mentioned with does not meet. The order of the documents
    makes no difference.

    Args:
        documents: Graphs of chunks, before any resolution.
        embeddings: For contexts and for names written otherwise; None: words and neighbours alone.
        model: Asked about pairs in the grey zone, at most `most_model_calls`.
        settings: When two are one.
        undone: Pairs of entity ids that are not one, whatever else speaks for it.
        known: What the model said of pairs before.
    """
    settings = settings or ResolutionSettings()
    entities = collect_entities(documents)
    contexts = context_vectors(embeddings, entities)
    names = _vectors(embeddings, [f"{one.name} ({one.label})" for one in entities])
    said = said_pairs(documents)
    edges = [
        edge
        for pair in sorted(candidate_pairs(entities, names) | _positions(entities, said))
        if (edge := _compare(entities, pair, said, names, settings))
    ]
    edges = _surer_if_alone(entities, edges, settings)
    judge = SameEntityModel(model, known=known or {}, most_calls=settings.most_model_calls)
    joining = _Joining(entities, contexts, judge, settings, {_sorted(pair) for pair in undone})
    merges = joining.join(edges)
    return Resolution(merges=tuple(merges), model_calls=judge.calls, answers=judge.answers)


def _compare(
    entities: Sequence[Entity],
    pair: tuple[int, int],
    said: set[tuple[str, str]],
    names: Any,
    settings: ResolutionSettings,
) -> _Edge | None:
    one, other = (entities[n] for n in pair)
    if _sorted((one.id, other.id)) in said:
        return _Edge(*pair, NameMatch(SAID, 0.95), 0.0)
    match = match_names(one.name, other.name, kind=one.kind or other.kind)
    if match is None:
        if names is None or one.source_id == other.source_id:
            return None
        match = NameMatch(NEAR, 0.5 * float(names[pair[0]] @ names[pair[1]]))
    same_document = settings.same_document if one.source_id == other.source_id else 0.0
    return _Edge(*pair, match, same_document)


class _Joining:
    """Groups of entities on their way; evidence is weighed between groups, not between pairs."""

    def __init__(
        self,
        entities: Sequence[Entity],
        contexts: Any,
        judge: SameEntityModel,
        settings: ResolutionSettings,
        undone: set[tuple[str, str]],
    ) -> None:
        self._entities = entities
        self._contexts = contexts
        self._judge = judge
        self._settings = settings
        self._undone = undone
        self._groups = UnionFind(one.id for one in entities)
        self._position = {one.id: n for n, one in enumerate(entities)}
        self._merges: list[Merge] = []

    def join(self, edges: Sequence[_Edge]) -> list[Merge]:
        """Join until nothing more joins: what two groups have in common grows with them."""
        first = {edge: self._score(edge) for edge in edges}
        ordered = sorted(edges, key=lambda e: (-first[e], e.one, e.other))
        for _ in range(_MOST_ROUNDS):
            before = len(self._merges)
            for edge in ordered:
                self._try(edge)
            if len(self._merges) == before:
                break
        for edge in ordered:
            self._try(edge, ask=True)
        return self._merges

    def _try(self, edge: _Edge, *, ask: bool = False) -> None:
        one, other = self._entities[edge.one], self._entities[edge.other]
        if self._groups.find(one.id) == self._groups.find(other.id):
            return
        score = self._score(edge)
        if score < self._settings.grey or self._is_barred(edge):
            return
        asked = False
        if score < self._settings.threshold or edge.match.reason == NEAR:
            asked = ask and self._judge.same(one, other)
            if not asked:
                return
        self._groups.join(one.id, other.id)
        self._merges.append(_merge(one, other, edge, score, by_model=asked))

    def _score(self, edge: _Edge) -> float:
        if edge.match.reason == SAID:
            return edge.match.prior
        settings = self._settings
        one, other = (self._group(n) for n in (edge.one, edge.other))
        shared = len(self._neighbours(one) & self._neighbours(other))
        score = self._base(edge, one, other) + settings.neighbour * min(2, shared)
        if self._contexts is not None:
            first, second = (self._middle(group) for group in (one, other))
            score += settings.context_weight * float(first @ second)
        return min(max(score, 0.0), 1.0)

    def _base(self, edge: _Edge, one: Sequence[Entity], other: Sequence[Entity]) -> float:
        """What the names alone say; of groups that share a name, how likely that name's one thing.

        Else "Jordan", who is one of two Michael Jordans, would make them one.
        """
        base = edge.match.prior + edge.bonus
        names = [{plain_name(entity.name): entity for entity in group} for group in (one, other)]
        shared = [
            match.prior
            for name in names[0].keys() & names[1].keys()
            if (match := match_names(names[0][name].name, names[1][name].name, kind=one[0].kind))
        ]
        return min(base, max(shared)) if shared else base

    def _is_barred(self, edge: _Edge) -> bool:
        """Whether the groups hold a pair that was undone, or full names that can not be one's."""
        one, other = (self._group(n) for n in (edge.one, edge.other))
        for left, right in product(one, other):
            if _sorted((left.id, right.id)) in self._undone:
                return True
        is_person = all(entity.kind == "person" for entity in (*one, *other))
        return is_person and edge.match.reason != SAID and _names_conflict(one, other)

    def _neighbours(self, group: Sequence[Entity]) -> set[str]:
        """What a group is mentioned with: the groups, and the names of those."""
        ids = {id_ for entity in group for id_ in entity.neighbours}
        groups = {self._groups.find(id_) for id_ in ids}
        names = {"=" + core_name(self._entities[self._position[id_]].name) for id_ in groups}
        own = {self._groups.find(group[0].id), *("=" + core_name(one.name) for one in group)}
        return names - own

    def _group(self, position: int) -> list[Entity]:
        ids = self._groups.group(self._entities[position].id)
        return [self._entities[self._position[id_]] for id_ in sorted(ids)]

    def _middle(self, group: Sequence[Entity]) -> Any:
        mean = self._contexts[[self._position[one.id] for one in group]].mean(axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)


def _merge(one: Entity, other: Entity, edge: _Edge, score: float, *, by_model: bool) -> Merge:
    left, right = sorted((one, other), key=lambda entity: entity.id)
    return Merge(
        left=left.id,
        right=right.id,
        left_name=left.name,
        right_name=right.name,
        reason=edge.match.reason,
        score=round(score, 3),
        by_model=by_model,
    )


def _names_conflict(one: Sequence[Entity], other: Sequence[Entity]) -> bool:
    full = [
        {plain_name(e.name) for e in group if " " in plain_name(e.name)} for group in (one, other)
    ]
    return not full[0] & full[1] and any(names_conflict(*pair) for pair in product(*full))


def _surer_if_alone(
    entities: Sequence[Entity], edges: Sequence[_Edge], settings: ResolutionSettings
) -> list[_Edge]:
    """A short name that only fits one longer name is surer to mean it: the only Jobs there is."""
    longer: dict[int, set[str]] = defaultdict(set)
    shorter = {}
    for edge in edges:
        if edge.match.reason in ("part of the name", "abbreviation"):
            short, long = sorted((edge.one, edge.other), key=lambda n: (len(entities[n].name), n))
            shorter[edge] = short
            longer[short].add(core_name(entities[long].name))
    alone = {
        short
        for short, names in longer.items()
        if all(match_names(a, b, kind=entities[short].kind) for a, b in combinations(names, 2))
    }
    return [
        replace(edge, bonus=edge.bonus + settings.only_one) if shorter.get(edge) in alone else edge
        for edge in edges
    ]


def _positions(entities: Sequence[Entity], said: set[tuple[str, str]]) -> set[tuple[int, int]]:
    position = {one.id: n for n, one in enumerate(entities)}
    return {_sorted_numbers(position[one], position[other]) for one, other in said}


def context_vectors(embeddings: Embeddings | None, entities: Sequence[Entity]) -> Any | None:
    """`float32[entity, dimension]` of what stands around them, of length 1.

    Centred for each script: two strangers of one language lie nearer than two of different ones.
    """
    texts = [entity.context or entity.label for entity in entities]
    return _vectors(embeddings, texts)


def _vectors(embeddings: Embeddings | None, texts: Sequence[str]) -> Any | None:
    """`float32[text, dimension]`, centred and of length 1; None without an embedder."""
    if embeddings is None or not texts:
        return None
    unique = list(dict.fromkeys(texts))
    vectors = np.asarray(embeddings.embed_documents(unique), np.float32)
    chinese = np.asarray([language_of(text) == "zh" for text in unique])
    for script in (chinese, ~chinese):
        if script.any():
            vectors[script] -= vectors[script].mean(axis=0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    place = {text: n for n, text in enumerate(unique)}
    return vectors[[place[text] for text in texts]]


def _sorted(pair: tuple[str, str]) -> tuple[str, str]:
    return (min(pair), max(pair))


def _sorted_numbers(one: int, other: int) -> tuple[int, int]:
    return (min(one, other), max(one, other))
