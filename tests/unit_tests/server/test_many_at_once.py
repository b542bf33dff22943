"""Many requests at the same time, and requests that nobody would think of."""

import asyncio
import time
from contextlib import suppress

import httpx
import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import create_rag_chain
from langchain_graft.server import Served, ServerSettings, create_app
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

OPEN = ServerSettings(requests_per_minute=None, max_waiting=1000)
KEY = "a-key-of-enough-characters"
HEADERS = {"Authorization": f"Bearer {KEY}"}


def said_of(number):
    return f"Person {number} likes the number {number} best."


@pytest.fixture
def people():
    """Each question has a document, and so an answer, of its own."""

    def find(question):
        number = question.split()[-1]
        return [Document(id=number, page_content=said_of(number))]

    def reply(prompt):
        return said_of(prompt.split("number of ")[-1].split()[0])

    model = ScriptedChatModel(reply=reply)
    chain = create_rag_chain(model, RunnableLambda(find))
    return Served(
        chains={"rag": chain}, default="rag", embeddings=HashEmbeddings, embeddings_name="hash"
    )


async def test_200_at_once_get_each_its_own_answer(serve, people):
    url = f"{serve(people, settings=OPEN)}/v1"
    limits = openai.DefaultAsyncHttpxClient()
    async with openai.AsyncOpenAI(
        base_url=url, api_key="any", max_retries=0, http_client=limits
    ) as client:

        async def ask(number):
            question = {"role": "user", "content": f"Which is the number of {number}"}
            asked = {"model": "rag", "messages": [question]}
            if number % 2:
                reply = await client.chat.completions.create(**asked)
                return reply.choices[0].message.content
            chunks = await client.chat.completions.create(**asked, stream=True)
            return "".join([one.choices[0].delta.content or "" async for one in chunks])

        answers = await asyncio.gather(*map(ask, range(200)))
    assert answers == [f"{said_of(number)} [1]" for number in range(200)]


def test_places_of_clients_that_went_away_are_free_again(serve, fakes):
    url = serve(fakes.served(fakes.endless()), settings=ServerSettings(max_concurrent=4))
    asked = {"model": "rag", "messages": [{"role": "user", "content": "Who?"}], "stream": True}
    for _ in range(20):
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=asked) as reply:
            assert reply.status_code == 200
            assert next(reply.iter_lines()).startswith("data: ")
    told = ""
    for _ in range(100):
        told = httpx.get(f"{url}/metrics").text
        if "graft_requests_working 0.0" in told:
            break
        time.sleep(0.1)
    assert "graft_requests_working 0.0" in told
    assert "graft_requests_waiting 0.0" in told
    assert 'status="499"} 20.0' in told


@pytest.fixture(scope="module")
def schema():
    chain = create_rag_chain(
        ScriptedChatModel(reply=lambda _: "Yes."), RunnableLambda(lambda _: [])
    )
    served = Served(
        chains={"rag": chain}, default="rag", embeddings=HashEmbeddings, embeddings_name="hash"
    )
    app = create_app(served, settings=OPEN, api_keys=[KEY])
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers=HEADERS)


def make_sense(body):
    """Let a request that is well formed come to the chain: a model that is there, a question."""
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        body["model"] = "rag" if "messages" in body else "hash"
        if isinstance(body.get("messages"), list):
            body["messages"] = [*body["messages"][:1999], {"role": "user", "content": "Who?"}]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model}"),
        ("GET", "/health"),
        ("GET", "/metrics"),
    ],
)
def test_no_request_is_a_fault_of_the_server(schema, method, path):
    found = []
    for mode in schemathesis.GenerationMode:

        @given(schema[path][method].as_strategy(generation_mode=mode))
        @settings(
            max_examples=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def ask(case):
            make_sense(case.body)
            reply = case.call(headers=HEADERS)
            found.append(reply.status_code)
            assert reply.status_code < 500, reply.text

        with suppress(Unsatisfiable):  # some have nothing that could be wrong
            ask()
    assert {200, 400} <= set(found) if method == "POST" else found


def test_every_operation_is_asked(schema):
    assert len(list(schema.get_all_operations())) == 6
