"""OpenAI's own client against the server."""

import httpx
import openai
import pytest
from langchain_core.documents import Document

from langchain_graft.server import ServerSettings
from langchain_graft.server.chain_run import plain_value

ASKED = {"model": "rag", "messages": [{"role": "user", "content": "When was Apple founded?"}]}
KEY = "a-key-of-enough-characters"


@pytest.fixture
def client_of():
    """Clients without retries; they are closed at the end."""
    clients = []

    def make(url, kind=openai.OpenAI, **settings):
        settings = {"api_key": "any", "max_retries": 0, **settings}
        clients.append(kind(base_url=f"{url}/v1", **settings))
        return clients[-1]

    yield make
    for client in clients:
        if isinstance(client, openai.OpenAI):
            client.close()


@pytest.fixture
def client(serve, client_of):
    return client_of(serve())


def test_a_filter_is_refused_where_it_does_not_hold(serve, client_of, fakes):
    client = client_of(serve(fakes.served(unfiltered=("rag",))))
    with pytest.raises(openai.BadRequestError, match="reads more than a filter reaches"):
        client.chat.completions.create(**ASKED, extra_body={"graft": {"filter": {"year": 1976}}})
    assert client.chat.completions.create(**ASKED, extra_body={"graft": {"k": 1}}).choices


def test_plain_values_are_those_that_json_has():
    document = Document(id="d", page_content="t", metadata={"n": [float("nan"), 1.5]})
    assert plain_value([document])[0]["metadata"] == {"n": [None, 1.5]}


def test_an_answer_with_its_sources(client, fakes):
    reply = client.chat.completions.create(**ASKED)
    [choice] = reply.choices
    assert choice.message.content == f"{fakes.answer} [1]"
    assert choice.finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    told = reply.model_extra["graft"]
    assert told["sources"][0]["source_id"] == "apple.md"
    assert told["sources"][0]["metadata"]["year"] == 1976
    assert told["citations"][0]["verified"] is True


def test_a_stream_is_the_same_answer_in_pieces(client, fakes):
    whole = client.chat.completions.create(**ASKED)
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options=options))
    *pieces, end, usage = chunks
    assert len(pieces) > 3
    assert pieces[0].choices[0].delta.role == "assistant"
    told = "".join(one.choices[0].delta.content for one in pieces)
    assert told == whole.choices[0].message.content
    assert end.choices[0].finish_reason == "stop"
    assert end.model_extra["graft"] == whole.model_extra["graft"]
    assert usage.choices == []
    assert usage.usage == whole.usage
    assert len({one.id for one in chunks}) == 1


def test_usage_is_told_only_when_it_is_asked_for(client):
    chunks = list(client.chat.completions.create(**ASKED, stream=True))
    assert all(one.choices for one in chunks)
    assert all(one.usage is None for one in chunks)


async def test_asynchronously(serve, client_of, fakes):
    async with client_of(serve(), openai.AsyncOpenAI) as client:
        whole = await client.chat.completions.create(**ASKED)
        pieces = await client.chat.completions.create(**ASKED, stream=True)
        told = [one.choices[0].delta.content or "" async for one in pieces]
    assert whole.choices[0].message.content == "".join(told) == f"{fakes.answer} [1]"


def test_a_conversation_is_rewritten_into_a_question(serve, client_of, fakes):
    model = fakes.scripted("When was Apple founded?")
    client = client_of(serve(fakes.served(model)))
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Who founded Apple?"}]},
        {"role": "assistant", "content": "Jobs and Wozniak."},
        {"role": "user", "content": "When?"},
    ]
    reply = client.chat.completions.create(model="rag", messages=history)
    assert reply.model_extra["graft"]["question"] == "When was Apple founded?"
    assert "Jobs and Wozniak" in str(model.asked[0])


def test_max_tokens_ends_the_answer(serve, client_of, fakes):
    model = fakes.endless()
    client = client_of(serve(fakes.served(model)))
    reply = client.chat.completions.create(**ASKED, max_tokens=20)
    assert reply.choices[0].finish_reason == "length"
    assert 5 <= len(reply.choices[0].message.content.split()) <= 30
    assert model.stopped.wait(10)


def test_settings_of_a_call(client):
    def sources(**graft):
        reply = client.chat.completions.create(**ASKED, extra_body={"graft": graft})
        return reply.model_extra["graft"]["sources"]

    assert sources(k=1, filter={"year": 1976})
    assert not sources(filter={"year": {"$gt": 1976}})
    with pytest.raises(openai.BadRequestError, match=r"Unknown operator '\$near'"):
        sources(filter={"$near": 1})
    with pytest.raises(openai.BadRequestError, match=r"graft\.k"):
        sources(k=0)


def test_the_answer_is_sampled_and_instructed_as_asked(serve, client_of, fakes):
    model = fakes.noting()
    client = client_of(serve(fakes.served(model)))
    asked = {"temperature": 0.5, "top_p": 0.9, "seed": 3}
    messages = [
        {"role": "system", "content": "Speak like a pirate."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        *ASKED["messages"],
    ]
    reply = client.chat.completions.create(model="rag", messages=messages, **asked)
    client.chat.completions.create(**ASKED)
    assert model.settings == [asked, {}]
    told, plain = (one[0].text for one in model.asked)
    assert told == f"{plain}\n\nSpeak like a pirate.\n\nBe brief."
    assert reply.choices[0].message.content == f"{fakes.answer} [1]"


def test_what_a_tool_has_said_is_part_of_the_conversation(serve, client_of, fakes):
    model = fakes.scripted("When was Apple founded?")
    client = client_of(serve(fakes.served(model)))
    call = {"name": "look_up", "arguments": "{}"}
    history = [
        {"role": "user", "content": "Who founded Apple?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "Jobs and Wozniak."},
        {"role": "user", "content": "When?"},
    ]
    client.chat.completions.create(model="rag", messages=history)
    assert "Assistant: Jobs and Wozniak." in str(model.asked[0])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stop", "shown"),
    [
        ("in April", "Apple was founded "),
        (["April 19", "in Apri", "never"], "Apple was founded "),
        ("Apple", ""),
        (["1976. [2]", "1977"], "Apple was founded in April 1976. [1]"),
        (" [1", "Apple was founded in April 1976."),
    ],
)
def test_the_answer_ends_before_what_it_shall_stop_at(client, stop, shown, stream):
    reply = client.chat.completions.create(**ASKED, stop=stop, stream=stream)
    if stream:
        chunks = list(reply)
        assert "".join(one.choices[0].delta.content or "" for one in chunks) == shown
        assert chunks[-1].choices[0].finish_reason == "stop"
    else:
        assert reply.choices[0].message.content == shown
        assert reply.choices[0].finish_reason == "stop"


def test_what_comes_to_a_stop_stops_the_model(serve, client_of, fakes):
    model = fakes.endless()
    client = client_of(serve(fakes.served(model)))
    reply = client.chat.completions.create(**ASKED, stop="Apple Apple Apple")
    assert reply.choices[0].message.content == ""
    assert model.stopped.wait(10)


def test_a_chain_with_a_way_of_its_own_says_what_it_can_not_follow(serve, client_of, fakes):
    client = client_of(serve(fakes.served(fixed=["rag"])))
    assert client.chat.completions.create(**ASKED, stop="x", max_tokens=50)
    with pytest.raises(openai.BadRequestError, match="can not follow temperature") as failed:
        client.chat.completions.create(**ASKED, temperature=0.3)
    assert failed.value.param == "temperature"
    system = {"role": "system", "content": "Be brief."}
    with pytest.raises(openai.BadRequestError, match="can not follow a system message"):
        client.chat.completions.create(model="rag", messages=[system, *ASKED["messages"]])


def test_what_is_not_known_here_is_let_be(client, fakes):
    unused = {"user": "me", "presence_penalty": 0.1, "tools": [], "logprobs": False}
    reply = client.chat.completions.create(**ASKED, **unused, extra_body={"top_k": 3})
    assert reply.choices[0].message.content == f"{fakes.answer} [1]"


def test_models(client):
    assert [one.id for one in client.models.list()] == ["rag", "hash"]
    assert client.models.retrieve("rag").model_extra["graft"] == {"kind": "chain"}
    with pytest.raises(openai.NotFoundError) as failed:
        client.models.retrieve("none/such")
    assert failed.value.code == "model_not_found"


def test_embeddings_in_both_encodings(client):
    packed = client.embeddings.create(model="hash", input=["apple", "lisa"])
    plain = client.embeddings.create(
        model="hash", input=["apple", "lisa"], encoding_format="float", dimensions=64
    )
    assert [one.index for one in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert plain.usage.total_tokens > 0
    query = client.embeddings.create(
        model="hash", input="apple", extra_body={"input_type": "query"}
    )
    assert query.data[0].embedding == pytest.approx(packed.data[0].embedding)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": [[1, 2]]}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": ["a", " "]}, "input"),
        ({"input": "a", "dimensions": 3}, "dimensions"),
        ({"input": "a", "model": "rag"}, "model"),
    ],
)
def test_what_can_not_be_embedded(client, asked, param):
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as failed:
        client.embeddings.create(**{"model": "hash", **asked})
    assert failed.value.param == param


@pytest.mark.parametrize(
    ("asked", "status", "param"),
    [
        ({"model": "rag-fusion"}, 404, "model"),
        ({"model": 3}, 400, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "hello"}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "a" * 10_001}]}, 400, "messages.0.content"),
        ({"messages": [{"role": "user"}]}, 400, "messages.0.content"),
        ({"messages": [{"role": "clown", "content": "x"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "messages.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            400,
            "messages.0.content",
        ),
        ({"stream": "yes"}, 400, "stream"),
        ({"n": 2}, 400, "n"),
        ({"max_tokens": -1}, 400, "max_tokens"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"stop": ""}, 400, "stop.0"),
        ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format.type"),
        (
            {"messages": [{"role": "system", "content": "a" * 10_001}, *ASKED["messages"]]},
            400,
            "messages",
        ),
        ({"extra_body": {"graft": {"adapter": "legal"}}}, 404, "graft.adapter"),
        ({"extra_body": {"graft": {"colour": "red"}}}, 400, "graft.colour"),
    ],
)
def test_wrong_use_has_openais_shape(client, asked, status, param):
    with pytest.raises(openai.APIStatusError) as failed:
        client.chat.completions.create(**{**ASKED, **asked})
    assert failed.value.status_code == status
    assert failed.value.param == param
    assert failed.value.type == "invalid_request_error"
    assert failed.value.body["message"]


def test_a_failure_tells_no_secret(serve, client_of, fakes):
    client = client_of(serve(fakes.served(fakes.failing())))
    with pytest.raises(openai.InternalServerError, match="its log says more") as failed:
        client.chat.completions.create(**ASKED)
    assert "secret" not in str(failed.value)


def test_a_failure_in_a_stream_is_its_last_event(serve, client_of, fakes):
    client, pieces = client_of(serve(fakes.served(fakes.failing()))), []
    with pytest.raises(openai.APIError, match="its log says more") as failed:
        pieces.extend(
            one.choices[0].delta.content
            for one in client.chat.completions.create(**ASKED, stream=True)
        )
    assert "secret" not in str(failed.value)


def test_a_wrong_key_is_refused(serve, client_of):
    url = serve(api_keys=["another-key-of-enough-characters", KEY])
    assert client_of(url, api_key=KEY).models.list()
    for wrong in (KEY[:-1], "any"):
        with pytest.raises(openai.AuthenticationError) as failed:
            client_of(url, api_key=wrong).chat.completions.create(**ASKED)
        assert failed.value.code == "invalid_api_key"
    assert httpx.get(f"{url}/v1/models").status_code == 401
    assert httpx.get(f"{url}/metrics").status_code == 401
    assert httpx.get(f"{url}/health").status_code == 200


def test_a_request_that_takes_too_long_is_stopped(serve, client_of, fakes):
    model = fakes.silent()
    url = serve(fakes.served(model), settings=ServerSettings(timeout_seconds=0.5))
    with pytest.raises(openai.InternalServerError) as failed:
        client_of(url).chat.completions.create(**ASKED)
    assert failed.value.status_code == 504
    assert failed.value.type == "timeout_error"
    assert model.stopped.wait(10)


def test_a_stream_that_takes_too_long_says_so_at_its_end(serve, client_of, fakes):
    model = fakes.endless()
    url = serve(fakes.served(model), settings=ServerSettings(timeout_seconds=1))
    with pytest.raises(openai.APIError, match="No reply within 1 seconds"):
        list(client_of(url).chat.completions.create(**ASKED, stream=True))
    assert model.stopped.wait(10)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_stops_the_work(serve, client_of, fakes, stream):
    model = fakes.endless() if stream else fakes.silent()
    client = client_of(serve(fakes.served(model)), timeout=1)
    if stream:
        with client.chat.completions.create(**ASKED, stream=True) as pieces:
            next(pieces)
    else:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(**ASKED)
    assert model.stopped.wait(10)


def test_adapters_are_models(serve, client_of, fakes):
    known = ["legal"]
    client = client_of(serve(fakes.served(adapters=lambda: known)))
    assert [one.id for one in client.models.list()] == ["rag", "legal", "hash"]
    assert client.chat.completions.create(**{**ASKED, "model": "legal"}).model == "legal"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**ASKED, "model": "legal@000002"})
    known.append("legal@000002")  # promoted while it serves
    assert client.chat.completions.create(**{**ASKED, "model": "legal@000002"})
