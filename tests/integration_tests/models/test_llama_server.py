"""The life of the server's process: shared, guarded, restarted, ended with its parent."""

import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

from langchain_graft.errors import ModelServerError
from langchain_graft.models import LlamaCppChatModel, LlamaSettings

WAIT_SECONDS = 90
ASK = """
import sys
from langchain_graft.models import LlamaCppChatModel, LlamaSettings
settings = LlamaSettings(context_tokens=128, threads=1)
model = LlamaCppChatModel.from_file(sys.argv[1], server=settings, max_tokens=1)
"""
ASK_AND_WAIT = ASK + 'model.invoke("Hi"); print(model.server.pid, flush=True); input()'
START_AND_WAIT = (
    ASK
    + """
import threading
threading.Thread(target=model.server.ensure_running, daemon=True).start()
while model.server.pid is None:
    pass
print(model.server.pid, flush=True)
input()
"""
)

ASK_AND_FORK = (
    ASK
    + """
import os
model.invoke("Hi")
pid = os.fork()
if pid == 0:
    model.invoke("Hi")
    own = model.server.pid
    model.server.stop()
    print(own, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(model.server.pid, flush=True)
input()
"""
)


@pytest.fixture
def quick(smollm):
    """A model with a server of its own, that says one word."""
    settings = LlamaSettings(context_tokens=128, threads=1)
    model = LlamaCppChatModel.from_file(smollm, server=settings, max_tokens=1)
    model.server._starts.clear()
    yield model
    model.server.stop()


def is_running(pid):
    """Whether the process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def vanishes(pid):
    deadline = time.monotonic() + WAIT_SECONDS
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(pid)


def test_it_starts_with_the_first_question_and_is_shared(quick, smollm):
    assert quick.server.pid is None
    quick.invoke("Hi")
    pid = quick.server.pid
    again = LlamaCppChatModel.from_file(smollm, server=quick.server.settings, temperature=1.0)
    again.bind(max_tokens=1).invoke("Hi")
    assert again.server.pid == pid


def test_nobody_without_the_key_is_answered(quick):
    port = quick.server.ensure_running()
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    question = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    statuses = [
        httpx.post(url, json=question, headers=headers, trust_env=False).status_code
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Bearer {quick.server.api_key}"},
        )
    ]
    assert statuses == [401, 401, 200]


def test_it_listens_on_loopback_only(quick):
    port = quick.server.ensure_running()
    with open("/proc/net/tcp", encoding="utf-8") as file:  # noqa: PTH123
        listening = [line.split()[1] for line in file if line.split()[3] == "0A"]
    assert [place for place in listening if place.endswith(f":{port:04X}")] == [
        f"0100007F:{port:04X}"
    ]


@pytest.mark.parametrize("ask", ["invoke", "ainvoke"])
async def test_it_is_started_again_when_it_was_killed(quick, ask):
    quick.invoke("Hi")
    killed = quick.server.pid
    os.kill(killed, signal.SIGKILL)
    assert vanishes(killed)
    answer = quick.invoke("Hi") if ask == "invoke" else await quick.ainvoke("Hi")
    assert answer.text
    assert quick.server.pid not in (None, killed)


def test_its_death_in_the_middle_of_an_answer_is_an_error(quick):
    pieces = quick.bind(max_tokens=100).stream("Tell me a long story.")
    next(pieces)
    os.kill(quick.server.pid, signal.SIGKILL)
    with pytest.raises(ModelServerError, match="died while it answered"):
        list(pieces)
    assert quick.invoke("Hi").text


def test_it_stops_and_starts(quick):
    quick.invoke("Hi")
    pid = quick.server.pid
    quick.server.stop()
    assert not is_running(pid)
    assert quick.server.pid is None
    assert quick.invoke("Hi").text


@pytest.mark.parametrize("script", [ASK_AND_WAIT, START_AND_WAIT], ids=["serving", "loading"])
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_it_ends_with_its_parent(smollm, script, end):
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(smollm)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    if end == "kill":
        parent.kill()
    parent.communicate("\n" if end == "exit" else None, timeout=WAIT_SECONDS)
    assert parent.returncode == (0 if end == "exit" else -signal.SIGKILL)
    assert vanishes(pid)


def test_a_forked_process_has_a_server_of_its_own_and_stops_it(smollm):
    parent = subprocess.Popen(
        [sys.executable, "-c", ASK_AND_FORK, str(smollm)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child_server, server = (int(parent.stdout.readline()) for _ in range(2))
    assert child_server != server
    assert is_running(server)
    assert not is_running(child_server)
    parent.communicate("\n", timeout=WAIT_SECONDS)
    assert parent.returncode == 0
