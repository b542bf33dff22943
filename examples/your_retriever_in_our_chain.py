"""Any LangChain retriever in our chain: cited answers from the store that you have."""

import sys

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_graft import create_rag_chain, load_chat_model, load_embeddings

store = InMemoryVectorStore(load_embeddings("minilm"))
store.add_documents(
    [
        Document(id="1", page_content="The Apple I was designed by Steve Wozniak in 1976."),
        Document(id="2", page_content="The Altair 8800 was sold by MITS as a kit in 1975."),
    ]
)
model = load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b")
chain = create_rag_chain(model, store.as_retriever(search_kwargs={"k": 2}))

output = chain.invoke("Who designed the Apple I?")
print(output["answer"])
for citation in output["citations"]:
    print(citation["marker"], citation["cited_text"], citation["verified"])
