"""A small model in a retrieval chat and in a group: whatever it says, they end, and keep state."""

import sqlite3

import pytest
from langchain_core.documents import Document
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langchain_graft import load_chat_model
from langchain_graft.agents import (
    Answered,
    Asked,
    RetrieveConfig,
    astream_events,
    create_group_chat,
    create_retrieve_chat,
    create_retrieving_agent,
)
from langchain_graft.retrievers import BM25Index, IndexRetriever

TEXTS = [
    "Ed Roberts designed the Altair 8800.",
    "MITS sold the Altair 8800 in 1975.",
    "The Apple II had colour graphics and eight slots.",
]


@pytest.fixture(scope="module")
def model():
    return load_chat_model("smollm2-135m", max_tokens=24)


@pytest.fixture(scope="module")
def retriever():
    index = BM25Index()
    index.add([Document(id=f"t{n}", page_content=text) for n, text in enumerate(TEXTS)])
    yield IndexRetriever(index=index, k=2)
    index.close()


@pytest.mark.parametrize("asks_by", ["line", "check"])
def test_a_chat_ends_and_is_kept(model, retriever, asks_by, tmp_path):
    config = RetrieveConfig(task="qa", n_results=1, max_rounds=3, asks_by=asks_by)
    path = tmp_path / "chats.sqlite"
    thread = {"configurable": {"thread_id": "1"}}
    with sqlite3.connect(path, check_same_thread=False) as connection:
        chat = create_retrieve_chat(
            model, retriever, config=config, checkpointer=SqliteSaver(connection)
        )
        out = chat.invoke({"input": "Who designed the Altair 8800?"}, thread)
    assert out["answer"]
    assert out["rounds"] <= 3
    with sqlite3.connect(path, check_same_thread=False) as connection:
        again = create_retrieve_chat(
            model, retriever, config=config, checkpointer=SqliteSaver(connection)
        )
        assert again.get_state(thread).values["answer"] == out["answer"]


async def test_events_come_async_with_a_saver(model, retriever, tmp_path):
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "chats.sqlite")) as saver:
        config = RetrieveConfig(task="qa", asks_by="line", max_rounds=2)
        chat = create_retrieve_chat(model, retriever, config=config, checkpointer=saver)
        thread = {"configurable": {"thread_id": "1"}}
        events = [one async for one in astream_events(chat, {"input": "Who?"}, thread)]
    assert isinstance(events[-1], Answered)
    assert any(isinstance(one, Asked) for one in events) or events[-1].ended == "nothing_left"


def test_a_group_ends(model, retriever):
    agents = [create_retrieving_agent(name, model, retriever) for name in ("one", "two")]
    out = create_group_chat(agents, model=model).invoke({"input": "Who designed the Altair 8800?"})
    assert out["answer"]
    assert 1 <= out["rounds"] <= 2
    assert set(out["found_by"]) <= {"one", "two"}
