"""Graph RAG without a server: passages tied by the names in them, and a question along the ties."""

import sys

from langchain_core.documents import Document

from langchain_graft import load_chat_model
from langchain_graft.chains import create_graph_rag_chain
from langchain_graft.graph import EmbeddedGraphStore
from langchain_graft.graph.cooccurrence import cooccurrence_graph

texts = {
    "Altair 8800": "The Altair 8800 was designed by Ed Roberts and sold by MITS in 1975.",
    "Ed Roberts": "Ed Roberts sold MITS in 1977, studied medicine and became a doctor.",
    "Apple II": "The Apple II had colour graphics and eight slots.",
}
documents = [
    Document(id=title, page_content=text, metadata={"title": title, "source_id": title})
    for title, text in texts.items()
]
store = EmbeddedGraphStore(None)  # a path keeps it in a file
store.add(cooccurrence_graph(documents))  # or what create_extraction_chain(model) reads

model = load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b")
output = create_graph_rag_chain(model, store).invoke("What did the designer of the Altair 8800 do?")

print(output["answer"])
for path in output["paths"]:
    print(path["text"], path["documents"])
