"""Retrievers: query in, ranked documents out."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = ["BM25Index", "IndexRetriever", "Query", "VectorIndex", "matches", "open_chroma"]

if TYPE_CHECKING:
    from langchain_graft.retrievers.bm25 import BM25Index
    from langchain_graft.retrievers.filters import matches
    from langchain_graft.retrievers.index import IndexRetriever
    from langchain_graft.retrievers.query import Query
    from langchain_graft.retrievers.vector import VectorIndex, open_chroma
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "BM25Index": "bm25",
            "IndexRetriever": "index",
            "Query": "query",
            "VectorIndex": "vector",
            "matches": "filters",
            "open_chroma": "vector",
        },
    )
