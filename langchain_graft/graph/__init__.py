"""Graphs: stores, knowledge graphs from documents, Graph RAG's retriever, safe Cypher."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "FoundNode",
    "GraphDocument",
    "GraphStore",
    "Mention",
    "Node",
    "NodeType",
    "Property",
    "Relationship",
    "RelationshipType",
    "Schema",
    "Subgraph",
    "node_id",
]

if TYPE_CHECKING:
    from langchain_graft.graph.schema import NodeType, Property, RelationshipType, Schema
    from langchain_graft.graph.store import GraphStore
    from langchain_graft.graph.types import (
        FoundNode,
        GraphDocument,
        Mention,
        Node,
        Relationship,
        Subgraph,
        node_id,
    )
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "FoundNode": "types",
            "GraphDocument": "types",
            "GraphStore": "store",
            "Mention": "types",
            "Node": "types",
            "NodeType": "schema",
            "Property": "schema",
            "Relationship": "types",
            "RelationshipType": "schema",
            "Schema": "schema",
            "Subgraph": "types",
            "node_id": "types",
        },
    )
