"""The cache of replies: what was asked once is not asked again, and nothing is mixed up."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import create_rag_chain
from langchain_graft.errors import EvaluationDataError
from langchain_graft.evaluation import ReplyCache, with_reply_cache
from langchain_graft.testing import ScriptedChatModel


@pytest.fixture
def cache(tmp_path):
    cache = ReplyCache(tmp_path / "deep/replies.sqlite")
    yield cache
    cache.close()


class SettingsModel(ScriptedChatModel):
    """A model whose digest and settings are part of what it says of itself."""

    digest: str = "one"

    @property
    def _identifying_params(self):
        return {"digest": self.digest}

    def _stream(self, *args, **kwargs):
        kwargs.pop("max_tokens", None)
        return super()._stream(*args, **kwargs)


async def test_what_was_asked_is_not_asked_again(cache):
    model = with_reply_cache(SettingsModel(script=["First.", "Second."]), cache)
    assert model.invoke("Who?").text == "First."
    assert model.invoke("Who?").text == "First."
    assert (await model.ainvoke("Who?")).text == "First."
    assert "".join(piece.text for piece in model.stream("Who?")) == "First."
    assert model.invoke("When?").text == "Second."
    assert len(model.asked) == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda model: model.model_copy(update={"digest": "two"}),
        lambda model: model.bind(max_tokens=1),
        lambda model: model.bind(stop=["."]),
    ],
    ids=["digest", "setting", "stop"],
)
def test_another_digest_or_setting_is_another_key(cache, other):
    model = with_reply_cache(SettingsModel(script=["First.", "Other."]), cache)
    assert model.invoke("Who?").text == "First."
    assert other(model).invoke("Who?").text == "Other."
    assert model.invoke("Who?").text == "First."


def test_a_new_model_of_the_same_digest_shares_the_replies_after_a_restart(tmp_path):
    first = ReplyCache(tmp_path / "replies.sqlite")
    with_reply_cache(SettingsModel(script=["First."]), first).invoke("Who?")
    first.close()
    again = ReplyCache(str(tmp_path / "replies.sqlite"))
    reply = with_reply_cache(SettingsModel(script=[]), again).invoke("Who?")
    assert reply.text == "First."
    assert reply.response_metadata["cached"]
    again.clear()
    assert with_reply_cache(SettingsModel(script=["New."]), again).invoke("Who?").text == "New."
    again.close()


def test_an_evaluation_that_was_stopped_goes_on(cache, tmp_path):
    model = with_reply_cache(SettingsModel(script=["A.", "B."]), cache)
    with pytest.raises(AssertionError, match="this was call 3"):
        [model.invoke(question) for question in "abc"]
    further = with_reply_cache(SettingsModel(script=["C."]), cache)
    assert [further.invoke(question).text for question in "abc"] == ["A.", "B.", "C."]


def test_usage_logprobs_and_tool_calls_are_kept(cache):
    call = {"name": "search", "args": {"q": "苹果"}, "id": "1", "type": "tool_call"}
    logprobs = {"content": [{"token": "yes", "top_logprobs": [{"token": "yes", "logprob": -1.5}]}]}
    scripted = AIMessage("yes", tool_calls=[call], response_metadata={"logprobs": logprobs})
    model = with_reply_cache(SettingsModel(script=[scripted]), cache)
    model.invoke("Apple?")
    kept = model.invoke("Apple?")
    assert kept.response_metadata["logprobs"] == logprobs
    assert kept.usage_metadata["input_tokens"] == kept.usage_metadata["output_tokens"] == 1
    assert kept.tool_calls == [call]


def test_a_chain_on_a_cached_model_answers_the_same(cache, tmp_path):
    found = RunnableLambda(lambda _: [Document(id="1", page_content="Jobs founded Apple.")])
    model = with_reply_cache(SettingsModel(script=["Jobs founded it."]), cache)
    chain = create_rag_chain(model, found)
    first = chain.invoke("Who?")
    assert chain.invoke("Who?") == first
    assert first["answer"] == "Jobs founded it. [1]"
    assert len(model.asked) == 1


def test_eight_threads_write_and_read(cache):
    def both(n):
        cache.update(f"prompt {n % 20}", "model", [ChatGeneration(message=AIMessage(f"{n % 20}"))])
        return cache.lookup(f"prompt {n % 20}", "model")[0].text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(both, range(80))) == [str(n % 20) for n in range(80)]


def test_plain_generations_and_unknown_prompts(cache):
    cache.update("prompt", "model", [Generation(text="plain")])
    assert cache.lookup("prompt", "model")[0].text == "plain"
    assert cache.lookup("prompt", "another model") is None
    assert cache.lookup("", "modelprompt") is None


def test_a_file_that_is_no_cache_is_named(tmp_path):
    (tmp_path / "replies.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(EvaluationDataError, match=r"replies\.sqlite.*Remove it"):
        ReplyCache(tmp_path / "replies.sqlite")
