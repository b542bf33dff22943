"""What of a model's claims a text bears out, as a graph with its places in the text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_graft.graph.extraction_reply import EntityClaim, RelationClaim
from langchain_graft.graph.extraction_schema import fits, known_label
from langchain_graft.graph.spans import SourceText
from langchain_graft.graph.types import GraphDocument, Mention, Node, Relationship, node_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document

    from langchain_graft.graph.extraction_reply import Claim
    from langchain_graft.graph.schema import Schema
    from langchain_graft.sentences import Span

UNKNOWN_LABEL = "Thing"
"""The label of what the model gave no type."""
DROPPED = "dropped_claims"


@dataclass(frozen=True, kw_only=True)
class GraphRead:
    """What was kept of a reply, and what was not."""

    document: GraphDocument
    dropped: tuple[str, ...] = ()
    """Claims that the text does not bear out or the schema does not allow, as words."""

    def with_dropped(self) -> GraphDocument:
        """The graph; its source lists what was dropped in `metadata["dropped_claims"]`."""
        if not self.dropped:
            return self.document
        source = self.document.source
        metadata = {**source.metadata, DROPPED: list(self.dropped)}
        return replace(self.document, source=source.model_copy(update={"metadata": metadata}))


def graph_of_claims(
    claims: Sequence[Claim], document: Document, *, schema: Schema | None = None
) -> GraphRead:
    """The graph of a document's claims, each with its places in the document's text.

    Args:
        claims: What the model said.
        document: The chunk; its id is the mentions' `chunk_id`, its metadata may have `title` and
            `heading`.
        schema: What alone is kept; None: everything.
    """
    return _Reading(document, schema).read(claims)


class _Reading:
    """One document's claims, one after the other."""

    def __init__(self, document: Document, schema: Schema | None) -> None:
        self._document = document
        self._schema = schema
        above = [document.metadata.get(key) for key in ("title", "heading")]
        self._text = SourceText(
            document.page_content, above="\n".join(str(one) for one in above if one)
        )
        self._labels: dict[str, str] = {}
        self._nodes: dict[str, Node] = {}
        self._relationships: dict[tuple[str, str, str], Relationship] = {}
        self._dropped: list[str] = []

    def read(self, claims: Sequence[Claim]) -> GraphRead:
        fitting = [fit for claim in claims if (fit := self._fit(claim))]
        for claim in fitting:
            self._note_labels(claim)
        for claim in fitting:
            if isinstance(claim, RelationClaim):
                self._relate(claim)
            elif self._text.places(claim.name):
                self._node(claim.name, ())
            else:
                self._dropped.append(claim.name)
        graph = GraphDocument(
            nodes=tuple(self._nodes.values()),
            relationships=tuple(self._relationships.values()),
            source=self._document,
        )
        return GraphRead(document=graph, dropped=tuple(self._dropped))

    def _fit(self, claim: Claim) -> Claim | None:
        """The claim as the schema has it."""
        if self._schema is None:
            return claim
        fit: Claim | None
        if isinstance(claim, RelationClaim):
            fit = fits(claim, self._schema)
        else:
            label = known_label(claim.label, self._schema)
            fit = EntityClaim(name=claim.name, label=label) if label else None
        if fit is None:
            self._dropped.append(_words(claim))
        return fit

    def _note_labels(self, claim: Claim) -> None:
        """A name has one type in a passage: the first that was said."""
        if isinstance(claim, EntityClaim):
            said = [(claim.name, claim.label)]
        else:
            said = [(claim.source, claim.source_label), (claim.target, claim.target_label)]
        for name, label in said:
            if label:
                self._labels.setdefault(_key(name), label)

    def _relate(self, claim: RelationClaim) -> None:
        evidence = self._text.shortest_evidence(claim.source, claim.target)
        source_label = claim.source_label if self._schema else ""
        target_label = claim.target_label if self._schema else ""
        if evidence is None:
            self._dropped.append(_words(claim))
            return
        source = self._node(claim.source, (evidence,), label=source_label)
        target = self._node(claim.target, (evidence,), label=target_label)
        if source == target:
            return
        relationship = Relationship(
            source=source,
            target=target,
            type=claim.type,
            mentions=(self._mention(evidence),),
        )
        self._relationships.setdefault(relationship.key, relationship)

    def _node(self, name: str, otherwise: tuple[Span, ...], *, label: str = "") -> str:
        """The id of that name's node; a name that stands above the text is said `otherwise`."""
        label = label or self._labels.get(_key(name), UNKNOWN_LABEL)
        id_ = node_id(label, name)
        places = self._text.places(name) or otherwise
        mentions = tuple(self._mention(place) for place in places)
        had = self._nodes.get(id_)
        if had is None:
            self._nodes[id_] = Node(id=id_, label=label, name=name, mentions=mentions)
        else:
            merged = tuple(dict.fromkeys((*had.mentions, *mentions)))
            self._nodes[id_] = replace(had, mentions=merged)
        return id_

    def _mention(self, span: Span) -> Mention:
        return Mention(
            chunk_id=str(self._document.id or ""),
            start=span.start,
            end=span.end,
            quote=self._document.page_content[span.start : span.end],
        )


def _key(name: str) -> str:
    return node_id("", name)


def _words(claim: Claim) -> str:
    if isinstance(claim, EntityClaim):
        return claim.name
    return f"{claim.source} {claim.type} {claim.target}"
