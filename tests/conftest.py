"""A knowledge base with an embedder without weights, and a folder of documents beside it."""

import signal

import pytest
from hypothesis import HealthCheck, settings

from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings

# A shell's background jobs ignore Ctrl-C, and so would the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What is slow on a busy machine is not wrong.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture
def kb(tmp_path):
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings=HashEmbeddings())
    yield kb
    kb.close()


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    return folder


@pytest.fixture
def write(documents):
    """Write a text below the folder; its language is said, so that it need not be guessed."""

    def write(name, text):
        path = documents / name
        path.parent.mkdir(parents=True, exist_ok=True)
        front = "---\nlang: en\n---\n" if name.endswith(".md") else ""
        path.write_text(front + text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def texts_of():
    """All texts that can be found now in a knowledge base, by the id of their document."""

    def texts_of(kb):
        with kb._live.current() as indexes:
            if indexes is None:
                return {}
            found = indexes.vector._collection.get(include=["documents", "metadatas"])
            assert set(found["ids"]) == indexes.bm25.ids()
            by_source = {}
            for text, metadata in zip(found["documents"], found["metadatas"], strict=True):
                by_source.setdefault(metadata["source_id"], []).append(text)
            return by_source

    return texts_of


@pytest.fixture
def texts(kb, texts_of):
    return lambda: texts_of(kb)


@pytest.fixture(params=["sync", "async"])
def ask(request):
    """The pieces of an answer, or the one piece of an answer that is not streamed."""

    async def ask(model, question, *, stream=False):
        if request.param == "sync":
            return list(model.stream(question)) if stream else [model.invoke(question)]
        if stream:
            return [piece async for piece in model.astream(question)]
        return [await model.ainvoke(question)]

    return ask
