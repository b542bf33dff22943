"""A server on a free port of this machine, over chains whose model has a script."""

import asyncio
import socket
import threading
from types import SimpleNamespace

import pytest
import uvicorn
from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from pydantic import PrivateAttr

from langchain_graft.chains import create_conversational_chain, create_rag_chain
from langchain_graft.server import Served, create_app
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

ANSWER = "Apple was founded in April 1976."
DOCUMENT = Document(id="d1", page_content=ANSWER, metadata={"source_id": "apple.md", "year": 1976})


class EndlessChatModel(ScriptedChatModel):
    """Says one word after another until it is stopped; `stopped` is set then."""

    _stopped: threading.Event = PrivateAttr(default_factory=threading.Event)

    @property
    def stopped(self):
        return self._stopped

    async def _astream(self, messages, stop=None, run_manager=None, **_):
        try:
            while True:
                self._spoken.append("Apple ")
                yield ChatGenerationChunk(message=AIMessageChunk(content="Apple "))
                await asyncio.sleep(0.005)
        finally:
            self._stopped.set()


class SilentChatModel(EndlessChatModel):
    """Does not come to say a word; `asked_first` is set when it is asked."""

    _asked_first: threading.Event = PrivateAttr(default_factory=threading.Event)

    @property
    def asked_first(self):
        return self._asked_first

    async def _astream(self, messages, stop=None, run_manager=None, **_):
        self._asked_first.set()
        try:
            await asyncio.sleep(600)
            yield ChatGenerationChunk(message=AIMessageChunk(content="Apple"))
        finally:
            self._stopped.set()


class NotingChatModel(ScriptedChatModel):
    """Notes the settings that it is called with."""

    _settings: list[dict] = PrivateAttr(default_factory=list)

    @property
    def settings(self):
        return self._settings

    async def _astream(self, messages, stop=None, run_manager=None, **settings):
        self._settings.append(settings)
        async for piece in super()._astream(messages, stop, run_manager):
            yield piece


class FailingChatModel(ScriptedChatModel):
    """Says two words, then fails."""

    async def _astream(self, messages, stop=None, run_manager=None, **_):
        for word in ("Apple ", "was "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        msg = "a secret in /home/somebody"
        raise RuntimeError(msg)


def rag(model):
    retriever = RunnableLambda(lambda _: [DOCUMENT])
    return create_conversational_chain(model, create_rag_chain(model, retriever))


def scripted(reply=ANSWER):
    return ScriptedChatModel(reply=lambda _: reply)


def served(model=None, **more):
    chains = {"rag": rag(model or scripted())}
    return Served(
        chains=chains,
        default="rag",
        embeddings=HashEmbeddings,
        embeddings_name="hash",
        **more,
    )


@pytest.fixture
def fakes():
    return SimpleNamespace(
        answer=ANSWER,
        rag=rag,
        scripted=scripted,
        endless=EndlessChatModel,
        silent=SilentChatModel,
        failing=FailingChatModel,
        noting=lambda: NotingChatModel(reply=lambda _: ANSWER),
        served=served,
    )


@pytest.fixture
def serve():
    """Serves an app, or an app of ours over these models, and says where."""
    running = []

    def start(what=None, **settings):
        app = what if callable(what) else create_app(what or served(), **settings)
        taken = socket.create_server(("127.0.0.1", 0), backlog=2048)
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        running.append((server, thread, taken))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"

    yield start
    for server, thread, taken in running:
        server.should_exit = True
        thread.join(30)
        taken.close()
        assert not thread.is_alive()
