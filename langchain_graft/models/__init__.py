"""Chat models and embeddings by name: remote, llama.cpp, transformers, sentence-transformers."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "CATALOGUE",
    "E5Embeddings",
    "LlamaCppChatModel",
    "LlamaSettings",
    "SentenceCrossEncoder",
    "SentenceEmbeddings",
    "TokenScorer",
    "TransformersChatModel",
    "TransformersEngine",
    "TransformersSettings",
    "embeddings_digest",
    "estimate_tokens",
    "load_chat_model",
    "load_embeddings",
    "load_token_scorer",
    "pull_model",
    "verify_model",
]

if TYPE_CHECKING:
    from langchain_graft.models.catalogue import CATALOGUE
    from langchain_graft.models.chat import load_chat_model, load_token_scorer
    from langchain_graft.models.cross_encoder import SentenceCrossEncoder
    from langchain_graft.models.digest import embeddings_digest
    from langchain_graft.models.e5_embeddings import E5Embeddings
    from langchain_graft.models.embeddings import load_embeddings
    from langchain_graft.models.llama_chat import LlamaCppChatModel
    from langchain_graft.models.llama_server import LlamaSettings
    from langchain_graft.models.pull import pull_model, verify_model
    from langchain_graft.models.sentence_embeddings import SentenceEmbeddings
    from langchain_graft.models.token_scorer import TokenScorer
    from langchain_graft.models.tokens import estimate_tokens
    from langchain_graft.models.transformers import TransformersEngine, TransformersSettings
    from langchain_graft.models.transformers_chat import TransformersChatModel
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "CATALOGUE": "catalogue",
            "E5Embeddings": "e5_embeddings",
            "LlamaCppChatModel": "llama_chat",
            "LlamaSettings": "llama_server",
            "SentenceCrossEncoder": "cross_encoder",
            "SentenceEmbeddings": "sentence_embeddings",
            "TokenScorer": "token_scorer",
            "TransformersChatModel": "transformers_chat",
            "TransformersEngine": "transformers",
            "TransformersSettings": "transformers",
            "embeddings_digest": "digest",
            "estimate_tokens": "tokens",
            "load_chat_model": "chat",
            "load_embeddings": "embeddings",
            "load_token_scorer": "chat",
            "pull_model": "pull",
            "verify_model": "pull",
        },
    )
