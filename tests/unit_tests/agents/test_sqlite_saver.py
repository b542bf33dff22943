"""Conversations in a file: kept apart, and taken up by the next process when one is killed."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.agents import (
    RetrieveConfig,
    aopen_sqlite_saver,
    create_retrieve_chat,
    open_sqlite_saver,
)
from langchain_graft.testing import ScriptedChatModel

DOCUMENTS = RunnableLambda(lambda _: [Document(id="a", page_content="Person 7 likes 7.")])
CONFIG = RetrieveConfig(task="qa", follow_ups=False)
THREAD = {"configurable": {"thread_id": "1"}}


def chat_of(saver):
    model = ScriptedChatModel(script=["Person 7 likes 7."])
    return create_retrieve_chat(model, DOCUMENTS, config=CONFIG, checkpointer=saver)


def test_a_conversation_is_there_when_the_file_is_opened_again(tmp_path):
    path = tmp_path / "chats.sqlite"
    with open_sqlite_saver(path) as saver:
        chat_of(saver).invoke({"input": "What does person 7 like?"}, THREAD)
    with open_sqlite_saver(path) as saver:
        assert chat_of(saver).get_state(THREAD).values["answer"] == "Person 7 likes 7. [1]"


def test_a_turn_without_updates_is_kept_in_five_steps(tmp_path):
    with open_sqlite_saver(tmp_path / "chats.sqlite") as saver:
        chat_of(saver).invoke({"input": "What does person 7 like?"}, THREAD)
        nexts = [one.next for one in chat_of(saver).get_state_history(THREAD)]
    assert nexts == [(), ("finish",), ("assistant",), ("begin",), ("__start__",)]


async def test_a_conversation_is_there_when_the_file_is_opened_again_async(tmp_path):
    path = tmp_path / "chats.sqlite"
    async with aopen_sqlite_saver(path) as saver:
        await chat_of(saver).ainvoke({"input": "What does person 7 like?"}, THREAD)
    async with aopen_sqlite_saver(path) as saver:
        state = await chat_of(saver).aget_state(THREAD)
        assert state.values["answer"] == "Person 7 likes 7. [1]"


async def test_the_log_is_written_ahead_and_the_disk_not_waited_for(tmp_path):
    def pragmas(connection):
        return [connection.execute(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")]

    with open_sqlite_saver(tmp_path / "a.sqlite") as saver:
        assert [one.fetchone()[0] for one in pragmas(saver.conn)] == ["wal", 1]
    async with aopen_sqlite_saver(tmp_path / "b.sqlite") as saver:
        found = [await (await one).fetchone() for one in pragmas(saver.conn)]
        assert [one[0] for one in found] == ["wal", 1]


def test_threads_that_talk_at_once_wait_for_one_another(tmp_path):
    """More writers than one connection: another process has the file open, too."""
    path = tmp_path / "chats.sqlite"
    start = threading.Barrier(8)
    with open_sqlite_saver(path) as one, open_sqlite_saver(path) as other:

        def talk(n):
            start.wait(20)
            thread = {"configurable": {"thread_id": str(n)}}
            chat_of((one, other)[n % 2]).invoke({"input": "What does person 7 like?"}, thread)
            return chat_of(one).get_state(thread).values["answer"]

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(talk, range(8))) == ["Person 7 likes 7. [1]"] * 8


MANY = """
import asyncio, json, os, sys
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_graft.agents import RetrieveConfig, aopen_sqlite_saver, create_retrieve_chat
from langchain_graft.testing import ScriptedChatModel

path, dies = sys.argv[1], sys.argv[2] == "dies"
second, searched = [], []

def number_in(text):
    return int(text.split("Who is person ")[1].split("?")[0])

def search(query):
    number = number_in(query)
    searched.append(number)
    both = (number + 1000, number)
    return [Document(id=str(n), page_content=f"Person {n} is here.") for n in both]

def reply(prompt):
    number = number_in(prompt)
    if f"Person {number} is" not in prompt:
        return "UPDATE CONTEXT"
    second.append(number)
    if dies and len(second) > 100:
        os._exit(9)
    return f"Person {number} it is."

async def talk(chat, n):
    thread = {"configurable": {"thread_id": str(n)}}
    before = await chat.aget_state(thread)
    if dies or not before.values:
        given = {"input": f"Who is person {n}?"}
    elif before.next:
        given = None
    else:
        return ["ended before", before.values["answer"], before.values["updates"]]
    out = await chat.ainvoke(given, thread, durability="sync")
    return ["anew" if given else "taken up", out["answer"], out["updates"]]

async def main():
    config = RetrieveConfig(task="qa", context_tokens=20, n_results=3, follow_ups=False)
    async with aopen_sqlite_saver(path) as saver:
        model, retriever = ScriptedChatModel(reply=reply), RunnableLambda(search)
        chat = create_retrieve_chat(model, retriever, config=config, checkpointer=saver)
        told = await asyncio.gather(*(talk(chat, n) for n in range(200)))
    print(json.dumps({"told": told, "searched": searched, "second": second}))

asyncio.run(main())
"""


def test_a_killed_process_is_followed_by_one_that_takes_up_each_of_200(tmp_path):
    def python(how):
        command = [sys.executable, "-c", MANY, str(tmp_path / "chats.sqlite"), how]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert python("dies").returncode == 9
    done = python("goes on")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for n, (_, answer, updates) in enumerate(found["told"]):
        assert (answer, updates) == (f"Person {n} it is. [1]", ["next"])
    kinds = [kind for kind, _, _ in found["told"]]
    assert kinds.count("taken up") >= 50
    anew = {n for n, kind in enumerate(kinds) if kind == "anew"}
    taken_up = {n for n, kind in enumerate(kinds) if kind == "taken up"}
    ended = {n for n, kind in enumerate(kinds) if kind == "ended before"}
    assert anew <= set(found["searched"]) <= anew | taken_up
    assert not ended & set(found["second"])
