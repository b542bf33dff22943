"""OpenAI's own client against a chain of ours; `graft serve --kb FOLDER` does it for a folder."""

import queue
import sys
import threading
from typing import Any

import openai
from langchain_core.documents import Document

from langchain_graft import create_rag_chain, load_chat_model
from langchain_graft.retrievers import BM25Index, IndexRetriever
from langchain_graft.server import Served, create_app, listen

index = BM25Index()
index.add([Document(id="1", page_content="Ed Roberts designed the Altair 8800 at MITS in 1974.")])
model = load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b")
chain = create_rag_chain(model, IndexRetriever(index=index))
app = create_app(Served(chains={"rag": chain}, default="rag"))
address: queue.Queue[str] = queue.Queue()
where = {"app": app, "host": "127.0.0.1", "port": 0, "on_ready": address.put}
threading.Thread(target=listen, kwargs=where, daemon=True).start()

with openai.OpenAI(base_url=f"{address.get()}/v1", api_key="none is asked for") as client:
    question: Any = {"role": "user", "content": "Who designed the Altair 8800?"}
    chunks: Any = client.chat.completions.create(model="rag", messages=[question], stream=True)
    for chunk in chunks:
        print(chunk.choices[0].delta.content or "", end="")
    for source in chunk.graft["sources"]:  # with the last one
        print(f"\n[{source['marker']}] {source['text']}")
