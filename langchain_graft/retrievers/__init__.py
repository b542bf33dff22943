"""Retrievers: query in, ranked documents out."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "DECOMPOSITION_PROMPT",
    "HYDE_PROMPT",
    "MULTI_QUERY_PROMPT",
    "REPHRASE_PROMPT",
    "STEP_BACK_PROMPT",
    "BM25Index",
    "Compression",
    "CompressorPipeline",
    "Contribution",
    "CrossEncoderReranker",
    "FusionRetriever",
    "IndexRetriever",
    "ListwiseReranker",
    "LlamaIndexRetriever",
    "MMRReranker",
    "MetadataField",
    "ParentRetriever",
    "Query",
    "RedundancyFilter",
    "SelfInformationCompressor",
    "SelfQueryRetriever",
    "VectorIndex",
    "Weakness",
    "acreate_summaries",
    "create_decomposition_rewriter",
    "create_hyde_rewriter",
    "create_llama_index_retriever",
    "create_multi_query_rewriter",
    "create_rephrase_rewriter",
    "create_step_back_rewriter",
    "create_summaries",
    "lost_in_the_middle_order",
    "matches",
    "maximal_marginal_relevance",
    "open_chroma",
    "reciprocal_rank_fusion",
]

if TYPE_CHECKING:
    from langchain_graft.retrievers.bm25 import BM25Index
    from langchain_graft.retrievers.compression import Compression
    from langchain_graft.retrievers.compressor_pipeline import CompressorPipeline
    from langchain_graft.retrievers.filters import matches
    from langchain_graft.retrievers.fusion import Contribution, reciprocal_rank_fusion
    from langchain_graft.retrievers.fusion_retriever import FusionRetriever
    from langchain_graft.retrievers.index import IndexRetriever
    from langchain_graft.retrievers.llama_index import (
        LlamaIndexRetriever,
        create_llama_index_retriever,
    )
    from langchain_graft.retrievers.metadata_conditions import MetadataField
    from langchain_graft.retrievers.mmr import MMRReranker, maximal_marginal_relevance
    from langchain_graft.retrievers.order import lost_in_the_middle_order
    from langchain_graft.retrievers.parent import ParentRetriever
    from langchain_graft.retrievers.prompts import (
        DECOMPOSITION_PROMPT,
        HYDE_PROMPT,
        MULTI_QUERY_PROMPT,
        REPHRASE_PROMPT,
        STEP_BACK_PROMPT,
    )
    from langchain_graft.retrievers.query import Query
    from langchain_graft.retrievers.redundancy import RedundancyFilter
    from langchain_graft.retrievers.rerank_cross_encoder import CrossEncoderReranker
    from langchain_graft.retrievers.rerank_listwise import ListwiseReranker
    from langchain_graft.retrievers.rewriters.decomposition import create_decomposition_rewriter
    from langchain_graft.retrievers.rewriters.hyde import create_hyde_rewriter
    from langchain_graft.retrievers.rewriters.multi_query import create_multi_query_rewriter
    from langchain_graft.retrievers.rewriters.rephrase import create_rephrase_rewriter
    from langchain_graft.retrievers.rewriters.step_back import create_step_back_rewriter
    from langchain_graft.retrievers.self_information import SelfInformationCompressor
    from langchain_graft.retrievers.self_query import SelfQueryRetriever
    from langchain_graft.retrievers.summary import acreate_summaries, create_summaries
    from langchain_graft.retrievers.vector import VectorIndex, open_chroma
    from langchain_graft.retrievers.weakness import Weakness
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "DECOMPOSITION_PROMPT": "prompts",
            "HYDE_PROMPT": "prompts",
            "MULTI_QUERY_PROMPT": "prompts",
            "REPHRASE_PROMPT": "prompts",
            "STEP_BACK_PROMPT": "prompts",
            "BM25Index": "bm25",
            "Compression": "compression",
            "CompressorPipeline": "compressor_pipeline",
            "Contribution": "fusion",
            "CrossEncoderReranker": "rerank_cross_encoder",
            "FusionRetriever": "fusion_retriever",
            "IndexRetriever": "index",
            "ListwiseReranker": "rerank_listwise",
            "LlamaIndexRetriever": "llama_index",
            "MMRReranker": "mmr",
            "MetadataField": "metadata_conditions",
            "ParentRetriever": "parent",
            "Query": "query",
            "RedundancyFilter": "redundancy",
            "SelfInformationCompressor": "self_information",
            "SelfQueryRetriever": "self_query",
            "VectorIndex": "vector",
            "Weakness": "weakness",
            "acreate_summaries": "summary",
            "create_decomposition_rewriter": "rewriters.decomposition",
            "create_hyde_rewriter": "rewriters.hyde",
            "create_llama_index_retriever": "llama_index",
            "create_multi_query_rewriter": "rewriters.multi_query",
            "create_rephrase_rewriter": "rewriters.rephrase",
            "create_step_back_rewriter": "rewriters.step_back",
            "create_summaries": "summary",
            "lost_in_the_middle_order": "order",
            "matches": "filters",
            "maximal_marginal_relevance": "mmr",
            "open_chroma": "vector",
            "reciprocal_rank_fusion": "fusion",
        },
    )
