"""LlamaIndex's own indexes and query engines, with our chains and retrievers."""

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

from langchain_graft.chains import create_rag_chain
from langchain_graft.retrievers import (
    BM25Index,
    FusionRetriever,
    IndexRetriever,
    LlamaIndexRetriever,
    create_llama_index_retriever,
)
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

# LlamaIndex looks for it, to take its models.
pytestmark = pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset")

TEXTS = {
    "altair": "Ed Roberts designed the Altair computer.",
    "apple": "Steve Wozniak designed the Apple computer.",
    "rain": "It rains in Seattle.",
}


class Hashed(BaseEmbedding):
    """Our embedder without weights, as one of theirs."""

    def _get_query_embedding(self, query):
        return HashEmbeddings().embed_query(query)

    def _get_text_embedding(self, text):
        return HashEmbeddings().embed_query(text)

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)


@pytest.fixture
def theirs():
    nodes = [
        TextNode(
            text=text,
            metadata={"title": name},
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"{name}.md")},
        )
        for name, text in TEXTS.items()
    ]
    index = VectorStoreIndex(nodes, embed_model=Hashed())
    return LlamaIndexRetriever(retriever=index.as_retriever(similarity_top_k=2))


@pytest.fixture
def ours():
    index = BM25Index()
    index.add(
        [
            Document(
                id=name, page_content=text, metadata={"source_id": f"{name}.md", "tags": ["x"]}
            )
            for name, text in TEXTS.items()
        ]
    )
    yield IndexRetriever(index=index, k=2)
    index.close()


async def asked(retriever, question, way, **settings):
    if way == "sync":
        return retriever.invoke(question, **settings)
    return await retriever.ainvoke(question, **settings)


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_their_retriever_is_one_of_langchain(theirs, way):
    found = await asked(theirs, "Who designed the Apple?", way)
    by_source = {one.metadata["source_id"]: one for one in found}
    assert set(by_source) == {"altair.md", "apple.md"}
    apple = by_source["apple.md"]
    assert apple.page_content == TEXTS["apple"]
    assert apple.metadata["title"] == "apple"
    assert 0 < apple.metadata["score"] <= 1
    assert apple.id
    assert len(await asked(theirs, "Who designed the Apple?", way, k=1)) == 1


class Scored(BaseRetriever):
    def _retrieve(self, query_bundle):
        nodes = [TextNode(text=text, id_=name) for name, text in TEXTS.items()]
        return [NodeWithScore(node=node, score=1 / n) for n, node in enumerate(nodes, 1)]


def test_their_ranking_and_scores_are_kept():
    found = LlamaIndexRetriever(retriever=Scored(), k=2).invoke("computer")
    assert [(one.id, one.metadata) for one in found] == [
        ("altair", {"score": 1.0}),
        ("apple", {"score": 0.5}),
    ]


def test_their_retriever_answers_in_our_chains(theirs, ours):
    model = ScriptedChatModel(reply=lambda _: "Steve Wozniak designed the Apple computer. [1]")
    both = FusionRetriever(retrievers=[theirs, ours], k=3)
    for retriever in (theirs, both):
        output = create_rag_chain(model, retriever).invoke("Who designed the Apple computer?")
        assert any(one["verified"] for one in output["citations"])
        assert TEXTS["apple"] in [one.page_content for one in output["context"]]


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_our_retriever_answers_in_their_query_engine(ours, way):
    engine = RetrieverQueryEngine.from_args(create_llama_index_retriever(ours), llm=MockLLM())
    question = "Who designed the Apple computer?"
    reply = engine.query(question) if way == "sync" else await engine.aquery(question)
    best = reply.source_nodes[0].node
    assert (best.node_id, best.ref_doc_id, best.text) == ("apple", "apple.md", TEXTS["apple"])
    assert TEXTS["apple"] in str(reply)  # their model repeats its prompt
    assert "source_id: apple.md" in str(reply)
    assert "tags" not in str(reply)
    assert best.metadata["tags"] == ["x"]


def test_scores_are_told_to_their_postprocessors():
    found = [
        Document(id=f"{score}", page_content="Text.", metadata={"score": score})
        for score in (0.9, 0.2)
    ]
    retriever = create_llama_index_retriever(RunnableLambda(lambda _: found))
    nodes = retriever.retrieve("question")
    kept = SimilarityPostprocessor(similarity_cutoff=0.5).postprocess_nodes(nodes)
    assert [one.node.node_id for one in kept] == ["0.9"]


def test_there_and_back_a_document_stays_what_it_is(ours):
    there_and_back = LlamaIndexRetriever(retriever=create_llama_index_retriever(ours))
    before = ours.invoke("Apple computer")
    assert before
    assert there_and_back.invoke("Apple computer") == before
