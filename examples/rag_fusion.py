"""RAG-Fusion: the question in several wordings, searched by meaning and by words, fused."""

import sys

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_graft import create_rag_fusion_chain, load_chat_model, load_embeddings
from langchain_graft.retrievers import BM25Index

documents = [
    Document(id="1", page_content="The Apple I was designed by Steve Wozniak in 1976."),
    Document(id="2", page_content="The Altair 8800 was sold by MITS as a kit in 1975."),
    Document(id="3", page_content="The Apple II had colour graphics and eight slots."),
]
store, words = InMemoryVectorStore(load_embeddings("minilm")), BM25Index()
store.add_documents(documents)
words.add(documents)

model = load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b")
chain = create_rag_fusion_chain(model, [store.as_retriever(), words.as_retriever()], n_queries=2)

output = chain.invoke("Who built the first Apple computer?")
print(output["answer"])
print(output["queries"])
for document in output["context"]:
    print(f"{document.metadata['score']:.4f}", document.page_content)
