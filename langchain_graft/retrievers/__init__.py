"""Retrievers: query in, ranked documents out."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "BM25Index",
    "Contribution",
    "FusionRetriever",
    "IndexRetriever",
    "Query",
    "VectorIndex",
    "Weakness",
    "matches",
    "open_chroma",
    "reciprocal_rank_fusion",
]

if TYPE_CHECKING:
    from langchain_graft.retrievers.bm25 import BM25Index
    from langchain_graft.retrievers.filters import matches
    from langchain_graft.retrievers.fusion import Contribution, reciprocal_rank_fusion
    from langchain_graft.retrievers.fusion_retriever import FusionRetriever
    from langchain_graft.retrievers.index import IndexRetriever
    from langchain_graft.retrievers.query import Query
    from langchain_graft.retrievers.vector import VectorIndex, open_chroma
    from langchain_graft.retrievers.weakness import Weakness
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "BM25Index": "bm25",
            "Contribution": "fusion",
            "FusionRetriever": "fusion_retriever",
            "IndexRetriever": "index",
            "Query": "query",
            "VectorIndex": "vector",
            "Weakness": "weakness",
            "matches": "filters",
            "open_chroma": "vector",
            "reciprocal_rank_fusion": "fusion",
        },
    )
