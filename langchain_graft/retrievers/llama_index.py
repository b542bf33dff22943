"""LlamaIndex's retrievers as LangChain ones, and LangChain's, ours too, as LlamaIndex ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_graft.errors import MissingExtraError
from langchain_graft.retrievers.many import asearch_one, search_one

try:
    from llama_index.core.retrievers import BaseRetriever as LlamaRetriever
    from llama_index.core.schema import (
        MetadataMode,
        NodeRelationship,
        NodeWithScore,
        RelatedNodeInfo,
        TextNode,
    )
except ImportError as error:
    raise MissingExtraError("llama-index") from error

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.retrievers import RetrieverLike
    from llama_index.core.schema import QueryBundle


class LlamaIndexRetriever(BaseRetriever):
    """A retriever of LlamaIndex as one of LangChain, for our chains and agents.

    A document has the node's id, its text without metadata, and its metadata; besides `score`,
    where the node has one, and `source_id`, the document it was cut from, where it has none of
    its own.

    Example:
        >>> LlamaIndexRetriever(retriever=index.as_retriever(similarity_top_k=8))
    """

    retriever: Any
    """LlamaIndex's: `index.as_retriever()`, or what else retrieves there."""
    k: int | None = None
    """Most documents; None: as many as it gives."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        del run_manager
        return self._documents(self.retriever.retrieve(query), k)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        del run_manager
        return self._documents(await self.retriever.aretrieve(query), k)

    def _documents(self, found: list[NodeWithScore], k: int | None) -> list[Document]:
        return [_document(one) for one in found[: k or self.k]]


def create_llama_index_retriever(retriever: RetrieverLike) -> LlamaRetriever:
    """A LangChain retriever, of ours or another's, as one of LlamaIndex.

    A node has the document's id, text and metadata; the document it was cut from is its source;
    its score is `metadata["score"]`, where there is one. LlamaIndex writes metadata into prompts:
    only texts and numbers of it.

    Args:
        retriever: Any LangChain retriever.

    Example:
        >>> RetrieverQueryEngine.from_args(create_llama_index_retriever(kb.retriever()), llm=llm)
    """
    return _Retriever(retriever)


class _Retriever(LlamaRetriever):
    def __init__(self, retriever: RetrieverLike) -> None:
        super().__init__()
        self._retriever = retriever

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = search_one(self._retriever, query_bundle.query_str, asked={})
        return [_node(document) for document in found]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = await asearch_one(self._retriever, query_bundle.query_str, asked={})
        return [_node(document) for document in found]


def _document(found: NodeWithScore) -> Document:
    node = found.node
    source = {"source_id": node.source_node.node_id} if node.source_node else {}
    score = {} if found.score is None else {"score": found.score}
    return Document(
        id=node.node_id,
        page_content=node.get_content(metadata_mode=MetadataMode.NONE),
        metadata={**source, **node.metadata, **score},
    )


def _node(document: Document) -> NodeWithScore:
    metadata = document.metadata
    unwritten = [key for key, one in metadata.items() if not isinstance(one, str | int | float)]
    node = TextNode(
        text=document.page_content,
        metadata=metadata,
        excluded_llm_metadata_keys=unwritten,
        excluded_embed_metadata_keys=unwritten,
        **({"id_": document.id} if document.id else {}),
    )
    if source := metadata.get("source_id"):
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=str(source))
    return NodeWithScore(node=node, score=metadata.get("score"))
