"""The things that documents speak of, one document at a time: what is to be resolved."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_graft.graph.entity_resolution.kinds import kind_of
from langchain_graft.graph.entity_resolution.names import plain_name
from langchain_graft.graph.types import node_id
from langchain_graft.han import simplified
from langchain_graft.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_graft.graph.types import GraphDocument, Node

_MOST_CONTEXT = 600
"""Characters of a thing's context that are compared."""
_ALIAS_TYPES = frozenset(
    "ALIAS ALIAS_OF ALSO_KNOWN_AS KNOWN_AS SAME_AS NICKNAME NICKNAMED RENAMED RENAMED_TO "
    "ABBREVIATION_OF STANDS_FOR SHORT_FOR FORMERLY FORMER_NAME BIRTH_NAME PEN_NAME COURTESY_NAME "
    "别名 又称 字 号 简称 全称 本名 原名 笔名".split()
)
_BETWEEN = re.compile(
    r"\s*,?\s*(?:(?:also|better|formerly|originally|previously|later|commonly)\s+)?"
    r"(?:(?:known|called|named|renamed)\s+(?:as\s+)?|(?:or|aka|a\.k\.a\.)\s+|abbreviated\s+(?:as\s+)?"
    r"|stands\s+for\s+|short\s+for\s+)(?:the\s+)?[\"“'‘]?\s*"
    r"|\s*[(（]\s*(?:(?:or|aka|formerly|originally|简称|又称|原名|本名|英文名?|即|旧称)[:：]?\s*)?[\"“'‘]?"
    r"|[,，]?\s*(?:(?:本名|原名|又名|又称|亦称|别名|简称|全称|别称|人称|表?字|别?号|即|笔名)"
    r"(?:为|是|作)?)\s*[\"“'‘「]?",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A thing that one document speaks of, however often; one name means one thing there.

    (Gale, Church and Yarowsky, One Sense Per Discourse, 1992.)
    """

    id: str
    source_id: str
    name: str
    label: str
    kind: str
    context: str
    """The sentences that mention it, without its name."""
    neighbours: frozenset[str] = frozenset()
    """Ids of what is mentioned with it."""
    names: Counter[str] = field(default_factory=Counter)
    """How it is written, and how often."""
    labels: Counter[str] = field(default_factory=Counter)


def entity_id(source_id: str, label: str, name: str) -> str:
    """The id of what a document calls so."""
    return node_id(kind_of(label), plain_name(name), context=source_id)


def source_of(document: GraphDocument) -> str:
    """The document that a chunk is part of."""
    source = document.source
    return str(source.metadata.get("source_id") or source.id or "")


def collect_entities(documents: Iterable[GraphDocument]) -> list[Entity]:
    """The things that documents speak of, by id; the order of the documents makes no difference."""
    gathered: dict[str, _Gathered] = {}
    ordered = sorted(documents, key=lambda one: (source_of(one), str(one.source.id)))
    for document in ordered:
        sentences = sentence_spans(document.source.page_content)
        text = document.source.page_content
        about = [text[start:end] for start, end in sentences]
        source_id = source_of(document)
        everyone = {entity_id(source_id, one.label, one.name) for one in document.nodes}
        for node in document.nodes:
            id_ = entity_id(source_id, node.label, node.name)
            found = gathered.setdefault(id_, _Gathered(source_id))
            lines = [
                line
                for line, (start, end) in zip(about, sentences, strict=True)
                if any(start < m.end and m.start < end for m in node.mentions)
            ]
            found.add(node, lines, everyone - {id_})
    return [found.entity(id_) for id_, found in sorted(gathered.items())]


def said_pairs(documents: Iterable[GraphDocument]) -> set[tuple[str, str]]:
    """Pairs of ids of which a text says that they are one: "X, known as Y", "X (Y)", "X，字Y"."""
    pairs = set()
    for document in documents:
        source_id = source_of(document)
        ids = {node.id: entity_id(source_id, node.label, node.name) for node in document.nodes}
        said = [
            (ids[one.source], ids[one.target])
            for one in document.relationships
            if one.type in _ALIAS_TYPES
        ]
        for one, other in _in_apposition(document.nodes, document.source.page_content):
            said.append((ids[one], ids[other]))
        pairs |= {(min(pair), max(pair)) for pair in said if pair[0] != pair[1]}
    return pairs


def _in_apposition(nodes: Sequence[Node], text: str) -> list[tuple[str, str]]:
    """Pairs of nodes between whose names the text has nothing but words for "that is"."""
    places = sorted(
        {(m.start, m.end, node.id, node.label) for node in nodes for m in node.mentions}
    )
    found = []
    for n, (_, end, id_, label) in enumerate(places):
        for start, _, other, other_label in places[n + 1 : n + 5]:
            if start < end or other == id_:
                continue
            between = simplified(text[end:start])
            same_kind = kind_of(label) == kind_of(other_label)
            if len(between) < 40 and same_kind and _BETWEEN.fullmatch(between):  # noqa: PLR2004
                found.append((id_, other))
    return found


class _Gathered:
    """What is known of one entity so far."""

    def __init__(self, source_id: str) -> None:
        self._source_id = source_id
        self._names: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._lines: dict[str, None] = {}
        self._neighbours: set[str] = set()

    def add(self, node: Node, lines: Iterable[str], everyone: set[str]) -> None:
        self._names[node.name] += max(1, len(node.mentions))
        self._labels[node.label] += 1
        self._lines.update(dict.fromkeys(lines))
        self._neighbours |= everyone

    def entity(self, id_: str) -> Entity:
        name, label = most_common(self._names), most_common(self._labels)
        context = " ".join(self._lines)
        for written in sorted(self._names, key=len, reverse=True):
            context = context.replace(written, " ")
        return Entity(
            id=id_,
            source_id=self._source_id,
            name=name,
            label=label,
            kind=kind_of(label),
            context=" ".join(context.split())[:_MOST_CONTEXT],
            neighbours=frozenset(self._neighbours),
            names=self._names,
            labels=self._labels,
        )


def most_common(counts: Counter[str]) -> str:
    """What was counted most often; of equals the longest, then the first of the alphabet."""
    return min(counts, key=lambda text: (-counts[text], -len(text), text))
