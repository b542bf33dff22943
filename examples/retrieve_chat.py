"""A chat that searches again: its events as they come, a follow-up, and AutoGen's own settings."""

import sys

from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from langchain_graft import load_chat_model
from langchain_graft.agents import Answered, Piece, create_retrieve_chat, stream_events
from langchain_graft.retrievers import BM25Index, IndexRetriever

texts = ["Ed Roberts designed the Altair 8800.", "MITS sold the Altair 8800 in 1975."]
index = BM25Index()
index.add([Document(id=f"altair-{n}", page_content=text) for n, text in enumerate(texts)])

chat = create_retrieve_chat(
    load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b", max_tokens=60),
    IndexRetriever(index=index),
    config={"task": "qa", "model": "gpt-4", "update_context": True},  # AutoGen's retrieve_config
    checkpointer=InMemorySaver(),  # or a SqliteSaver: a killed process goes on where it was
)
conversation: RunnableConfig = {"configurable": {"thread_id": "1"}}
for question in ("Who designed the Altair 8800?", "When was it sold?"):
    for event in stream_events(chat, {"input": question}, conversation):
        if isinstance(event, Answered):
            print(f"\n{event.ended}: {event.answer} {[one['verified'] for one in event.citations]}")
        elif not isinstance(event, Piece):
            print(type(event).__name__, str(event)[:70])
