"""Which entities are one, why, and what a graph looks like then; every merge can be undone."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_graft.graph.claims import UNKNOWN_LABEL
from langchain_graft.graph.entity_resolution.entities import (
    collect_entities,
    entity_id,
    most_common,
    source_of,
)
from langchain_graft.graph.entity_resolution.names import plain_name
from langchain_graft.graph.entity_resolution.union_find import UnionFind
from langchain_graft.graph.types import GraphDocument, Node, Relationship, node_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_graft.graph.entity_resolution.entities import Entity
    from langchain_graft.graph.entity_resolution.names import Reason
    from langchain_graft.graph.types import Mention


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Two entities that were taken for one."""

    left: str
    right: str
    """Ids of entities (`entity_id`): what one document calls by one name."""
    left_name: str
    right_name: str
    reason: Reason
    score: float
    """From 0 to 1; at least what was asked for, or what the model said yes to."""
    by_model: bool = False

    @property
    def pair(self) -> tuple[str, str]:
        """What tells it from other merges."""
        return self.left, self.right


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The merges of a graph. What is merged follows from them alone, whatever their order."""

    merges: tuple[Merge, ...] = ()
    model_calls: int = 0
    answers: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """What the model said of pairs, now and before."""

    def without(self, *merges: Merge) -> Resolution:
        """The resolution with some merges undone: the graph is as if they had never been."""
        gone = {merge.pair for merge in merges}
        return replace(self, merges=tuple(m for m in self.merges if m.pair not in gone))

    def apply(self, documents: Sequence[GraphDocument]) -> list[GraphDocument]:
        """The documents with each entity under one id, label and name; other names are `aliases`.

        The ids are the same on every machine. Of two entities of the same label and name, which are
        homonyms, each has an id of its own.
        """
        groups = UnionFind()
        for merge in self.merges:
            groups.join(merge.left, merge.right)
        shown = _shown(collect_entities(documents), groups)
        return [_rewritten(document, shown) for document in documents]


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A merged entity as the graph shows it."""

    id: str
    label: str
    name: str
    aliases: tuple[str, ...]


def _shown(entities: Iterable[Entity], groups: UnionFind) -> dict[str, _Shown]:
    members: dict[str, list[Entity]] = defaultdict(list)
    for entity in entities:
        members[groups.find(entity.id)].append(entity)
    faces: dict[str, tuple[str, str, list[str]]] = {}
    homonyms: Counter[str] = Counter()
    for group, those in members.items():
        names: Counter[str] = sum((one.names for one in those), Counter())
        labels: Counter[str] = sum((one.labels for one in those), Counter())
        labels = Counter({label: n for label, n in labels.items() if label != UNKNOWN_LABEL})
        name, label = most_common(names), most_common(labels) if labels else UNKNOWN_LABEL
        faces[group] = label, name, sorted(set(names) - {name})
        homonyms[node_id(label, plain_name(name))] += 1
    shown: dict[str, _Shown] = {}
    for group, (label, name, aliases) in faces.items():
        several = homonyms[node_id(label, plain_name(name))] > 1
        face = _Shown(
            id=node_id(
                label, name, context=min(one.id for one in members[group]) if several else ""
            ),
            label=label,
            name=name,
            aliases=tuple(aliases),
        )
        shown |= {one.id: face for one in members[group]}
    return shown


def _rewritten(document: GraphDocument, shown: dict[str, _Shown]) -> GraphDocument:
    source_id = source_of(document)
    faces = {node.id: shown[entity_id(source_id, node.label, node.name)] for node in document.nodes}
    nodes: dict[str, Node] = {}
    for node in document.nodes:
        face = faces[node.id]
        had = nodes.get(face.id)
        properties: dict[str, Any] = {**(had.properties if had else {}), **node.properties}
        if face.aliases:
            properties["aliases"] = list(face.aliases)
        nodes[face.id] = Node(
            id=face.id,
            label=face.label,
            name=face.name,
            properties=properties,
            mentions=_both(had.mentions if had else (), node.mentions),
        )
    relationships: dict[tuple[str, str, str], Relationship] = {}
    for one in document.relationships:
        moved = replace(one, source=faces[one.source].id, target=faces[one.target].id)
        if moved.source == moved.target:
            continue
        if had_one := relationships.get(moved.key):
            moved = replace(
                moved,
                properties={**had_one.properties, **moved.properties},
                mentions=_both(had_one.mentions, moved.mentions),
            )
        relationships[moved.key] = moved
    return replace(
        document, nodes=tuple(nodes.values()), relationships=tuple(relationships.values())
    )


def _both(first: Iterable[Mention], second: Iterable[Mention]) -> tuple[Mention, ...]:
    together = dict.fromkeys((*first, *second))
    return tuple(sorted(together, key=lambda mention: (mention.start, mention.end)))
