"""`graft serve` and `graft mcp` with real models: a chat client and an agent's client ask them."""

import re
import signal
import subprocess

import openai
import pytest
from mcp import Client, StdioServerParameters

MODEL = ("--model", "smollm2-135m")
QUESTION = "Who founded Apple in April 1976?"


@pytest.fixture
def url(filled):
    process = filled.start(
        "serve", "--kb", "kb", "--port", "0", *MODEL, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stderr)))
    yield found[0]
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == ""


def test_a_chat_client_asks_a_real_model(url):
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        names = [one.id for one in client.models.list()]
        assert names[:2] == ["rag", "rag-fusion"]
        assert names[-1] == "e5-multilingual"
        asked = {"model": "rag", "messages": [{"role": "user", "content": QUESTION}]}
        whole = client.chat.completions.create(**asked)
        chunks = list(client.chat.completions.create(**asked, stream=True))
        pieces = [one.choices[0].delta.content or "" for one in chunks]
        assert "".join(pieces) == whole.choices[0].message.content != ""
        told = whole.model_extra["graft"]
        assert told["sources"][0]["source_id"] == "apple.md"
        assert chunks[-1].model_extra["graft"]["sources"] == told["sources"]
        assert whole.usage.prompt_tokens > 100

        hello = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
        *said, last = client.chat.completions.create(**hello, stream=True)
        assert last.model_extra["graft"]["route"] == "talk"
        assert len(said) > 3
        with client.chat.completions.create(**hello, stream=True) as begun:
            next(begun)  # and goes away
        asked["messages"] = [{"role": "user", "content": "四通打字机是谁设计的？"}]
        reply = client.chat.completions.create(**asked)
        assert reply.model_extra["graft"]["sources"][0]["source_id"] == "四通.md"

        vectors = client.embeddings.create(model="e5-multilingual", input=["apple", "四通"])
        assert len(vectors.data[0].embedding) == 384


async def test_an_agent_asks_over_standard_streams(filled):
    server = StdioServerParameters(
        command=filled.graft,
        args=["mcp", "--kb", "kb", *MODEL],
        cwd=str(filled.folder),
        env=filled.environment,
    )
    async with Client(server) as client:
        found = await client.call_tool("search", {"query": QUESTION})
        answer = await client.call_tool("ask", {"question": QUESTION})
    assert found.structured_content["passages"][0]["source_id"] == "apple.md"
    assert answer.content[0].text
    assert not answer.is_error
