"""Graphs: stores, knowledge graphs from documents, Graph RAG's retriever, safe Cypher."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "CypherAnswer",
    "CypherExample",
    "CypherExamples",
    "EmbeddedGraphStore",
    "FoundNode",
    "GraphDocument",
    "GraphRetriever",
    "GraphStore",
    "LocalNeo4j",
    "Mention",
    "Merge",
    "Neo4jGraphStore",
    "Node",
    "NodeColumns",
    "NodeType",
    "Property",
    "ReadResult",
    "Relationship",
    "RelationshipColumns",
    "RelationshipType",
    "Resolution",
    "Schema",
    "SchemaSlice",
    "Subgraph",
    "TableMapping",
    "Text2CypherRetriever",
    "Text2CypherSettings",
    "copy_graph",
    "create_community_summaries",
    "create_extraction_chain",
    "graph_from_table",
    "node_id",
    "resolve_entities",
    "schema_from_json",
    "schema_of",
]

if TYPE_CHECKING:
    from langchain_graft.graph.communities import create_community_summaries
    from langchain_graft.graph.copying import copy_graph
    from langchain_graft.graph.embedded_store import EmbeddedGraphStore
    from langchain_graft.graph.entity_resolution.resolution import Merge, Resolution
    from langchain_graft.graph.entity_resolution.resolver import resolve_entities
    from langchain_graft.graph.examples import CypherExample, CypherExamples
    from langchain_graft.graph.extraction import create_extraction_chain
    from langchain_graft.graph.extraction_schema import schema_from_json, schema_of
    from langchain_graft.graph.graph_retriever import GraphRetriever
    from langchain_graft.graph.local_neo4j import LocalNeo4j
    from langchain_graft.graph.neo4j_store import Neo4jGraphStore
    from langchain_graft.graph.read_result import ReadResult
    from langchain_graft.graph.schema import NodeType, Property, RelationshipType, Schema
    from langchain_graft.graph.schema_slice import SchemaSlice
    from langchain_graft.graph.store import GraphStore
    from langchain_graft.graph.tables import (
        NodeColumns,
        RelationshipColumns,
        TableMapping,
        graph_from_table,
    )
    from langchain_graft.graph.text2cypher import CypherAnswer, Text2CypherSettings
    from langchain_graft.graph.text2cypher_retriever import Text2CypherRetriever
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
            "CypherAnswer": "text2cypher",
            "CypherExample": "examples",
            "CypherExamples": "examples",
            "EmbeddedGraphStore": "embedded_store",
            "FoundNode": "types",
            "GraphDocument": "types",
            "GraphRetriever": "graph_retriever",
            "GraphStore": "store",
            "LocalNeo4j": "local_neo4j",
            "Mention": "types",
            "Merge": "entity_resolution.resolution",
            "Neo4jGraphStore": "neo4j_store",
            "Node": "types",
            "NodeColumns": "tables",
            "NodeType": "schema",
            "Property": "schema",
            "ReadResult": "read_result",
            "Relationship": "types",
            "RelationshipColumns": "tables",
            "RelationshipType": "schema",
            "Resolution": "entity_resolution.resolution",
            "Schema": "schema",
            "SchemaSlice": "schema_slice",
            "Subgraph": "types",
            "TableMapping": "tables",
            "Text2CypherRetriever": "text2cypher_retriever",
            "Text2CypherSettings": "text2cypher",
            "copy_graph": "copying",
            "create_community_summaries": "communities",
            "create_extraction_chain": "extraction",
            "graph_from_table": "tables",
            "node_id": "types",
            "resolve_entities": "entity_resolution.resolver",
            "schema_from_json": "extraction_schema",
            "schema_of": "extraction_schema",
        },
    )
