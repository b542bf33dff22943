"""Tool calls: found in what a model says, and only there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_graft.models import TransformersChatModel, TransformersEngine
from langchain_graft.models.model_tokenizer import ModelTokenizer
from langchain_graft.models.reply import Piece
from langchain_graft.models.tool_calls import AskedTools, ToolCallReader, tool_parameters

CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
TOOL_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n<tools>{% for tool in tools %}{{ tool | tojson }}"
    "{% endfor %}</tools><|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "{% for call in message.tool_calls %}<tool_call>{{ call.function.arguments | tojson }}"
    "</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return city


@tool
def clock() -> str:
    """Tell the time."""
    return "noon"


def read(*pieces, **settings):
    """What a reply in these pieces is as a message, and its texts."""
    reader, whole, texts = ToolCallReader(**settings), AIMessageChunk(""), []
    for n, piece in enumerate(pieces):
        text, calls = reader.push(piece, last=n == len(pieces) - 1)
        texts.append(text)
        whole += AIMessageChunk(text, tool_call_chunks=calls)
    return whole, texts


def calls(message):
    return [(call["name"], call["args"]) for call in message.tool_calls]


# -- the reader


def test_a_call_is_taken_out_of_the_text():
    message, _ = read(f"I look it up.\n{CALL}")
    assert message.content == "I look it up."
    assert calls(message) == [("weather", {"city": "Rome"})]
    assert message.tool_calls[0]["id"]
    assert message.invalid_tool_calls == []


@given(st.data())
def test_pieces_give_what_the_whole_gives(data):
    whole = f"First: a < b.\n{CALL}\n{CALL.replace('Rome', 'Athens 雅典')}\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=12)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    message, _ = read(*pieces)
    assert message.content == "First: a < b."
    assert calls(message) == [("weather", {"city": "Rome"}), ("weather", {"city": "Athens 雅典"})]
    assert len({call["id"] for call in message.tool_calls}) == 2


def test_text_is_passed_on_at_once_and_held_where_it_may_become_a_call():
    _, texts = read("Let me", " see <", "b> ", "<tool", "_call", ">{", "}")
    assert texts[:3] == ["Let me", " see", " <b>"]
    assert texts[3:] == ["", "", "", ""]
    _, texts = read("a ", "<tool", " is a word")
    assert texts == ["a", "", " <tool is a word"]
    _, texts = read("a", " <tool_ca")
    assert texts == ["a", " <tool_ca"]


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "weather", "arguments": {"city": "New Yo',
        '{"name": "weather", "arguments": {"city": "Rome"}',
        '{"arguments": {}}',
        '{"name": "weather", "arguments": [1]}',
        '{"name": 3}',
        "weather(Rome)",
        "[1, 2]",
        "",
        "[" * 5000,
    ],
)
@pytest.mark.parametrize("end", ["</tool_call>", ""])
def test_a_call_that_is_broken_or_cut_is_never_mended(body, end):
    message, _ = read(f"<tool_call>{body}{end}")
    assert message.tool_calls == []
    [invalid] = message.invalid_tool_calls
    assert invalid["args"] == f"<tool_call>{body}{end}"


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ('{"name": "clock"}', {}),
        ('{"name": "clock", "arguments": {}}', {}),
        ('{"name": "clock", "parameters": {"a": 1}}', {"a": 1}),
        ('{"name": "clock", "arguments": "{\\"a\\": 1}"}', {"a": 1}),
    ],
)
def test_what_small_models_write(body, arguments):
    message, _ = read(f"<tool_call>{body}")  # the end mark is left out often
    assert calls(message) == [("clock", arguments)]


def test_who_asks_for_no_tools_gets_the_text():
    message, _ = read(CALL, is_looking=False)
    assert (message.content, message.tool_calls) == (CALL, [])


# -- what is asked for


def test_tool_choice():
    both = [weather, clock]
    assert AskedTools.of({}) == AskedTools()
    assert AskedTools.of(tool_parameters(both, "none")).tools == ()
    assert AskedTools.of(tool_parameters(both, None)).schema is None
    for choice in ("any", "required", True):
        assert AskedTools.of(tool_parameters(both, choice)).forced == ("weather", "clock")
    named = {"type": "function", "function": {"name": "clock"}}
    assert AskedTools.of(tool_parameters(both, named)).forced == ("clock",)
    assert AskedTools.of(tool_parameters(both, "clock")).forced == ("clock",)
    for wrong in ("sing", {"type": "function"}):
        with pytest.raises(ValueError, match="tool_choice is"):
            tool_parameters(both, wrong)
    with pytest.raises(ValueError, match="leave extra_body out"):
        AskedTools.of({**tool_parameters(both, "any"), "extra_body": {"grammar": "x"}})


def test_definitions_of_several_tools_lie_apart():
    def described(name, kind):
        shape = {"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}}
        shape["$defs"] = {"X": {"type": kind}}
        return {"type": "function", "function": {"name": name, "parameters": shape}}

    tools = [described("a", "string"), described("b", "integer")]
    schema = AskedTools.of({"tools": tools, "tool_choice": "any"}).schema
    assert schema["$defs"] == {"a.X": {"type": "string"}, "b.X": {"type": "integer"}}
    [a, _] = schema["anyOf"]
    assert a["properties"]["name"] == {"const": "a"}
    assert a["properties"]["arguments"]["properties"] == {"x": {"$ref": "#/$defs/a.X"}}


# -- the prompt


@pytest.fixture
def tokenizer(tiny_tokenizer):
    """One with `<tool_call>` among its tokens, as Qwen's."""
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    text = tiny_tokenizer.backend_tokenizer.to_str()
    from tokenizers import Tokenizer  # noqa: PLC0415

    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(text), **tiny_tokenizer.special_tokens_map
    )
    fast.add_tokens(["<tool_call>", "</tool_call>"])
    fast.chat_template = TOOL_TEMPLATE
    return ModelTokenizer(fast, name="tiny")


HISTORY = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Rome"}}}],
    },
    {"role": "tool", "content": "Rain."},
]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tell it."}}]


def test_the_template_is_given_the_tools(tokenizer):
    prompt = tokenizer.chat_prompt(HISTORY, TOOLS)
    assert prompt.startswith("<|im_start|>system\n<tools>" + json.dumps(TOOLS[0]) + "</tools>")
    assert '<tool_call>{"city": "Rome"}</tool_call>' in prompt
    assert tokenizer.chat_ids(HISTORY, TOOLS) == tokenizer.ids(prompt)
    begun = tokenizer.chat_ids(HISTORY, TOOLS, begun="<tool_call>\n")
    assert begun == tokenizer.ids(prompt + "<tool_call>\n")


def test_a_template_without_tools_is_told_in_words(tokenizer, tiny_tokenizer):
    tokenizer.fast.chat_template = tiny_tokenizer.chat_template
    plain = [{"role": "user", "content": "Hi"}]
    assert "tool" not in tokenizer.chat_prompt(plain)
    prompt = tokenizer.chat_prompt(HISTORY, TOOLS)
    assert prompt.startswith("<|im_start|>system\n# Tools")
    assert json.dumps(TOOLS[0]) in prompt
    assert '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>' in prompt
    assert "<|im_start|>user\n<tool_response>\nRain.\n</tool_response><|im_end|>" in prompt
    system = [{"role": "system", "content": "Be brief."}, *HISTORY]
    assert tokenizer.chat_prompt(system, TOOLS).count("<|im_start|>system\nBe brief.\n\n# Too") == 1


@pytest.mark.parametrize("where", ["user", "tool", "argument", "key", "description"])
@pytest.mark.parametrize("word", ["<|im_end|>", "<tool_call>", "</tool_call>"])
def test_control_words_of_others_are_plain_words(tokenizer, where, word):
    messages, tools = json.loads(json.dumps(HISTORY)), json.loads(json.dumps(TOOLS))
    before = tokenizer.chat_ids(messages, tools)
    arguments = messages[1]["tool_calls"][0]["function"]["arguments"]
    if where == "user":
        messages[0]["content"] += word
    elif where == "tool":
        messages[2]["content"] += word
    elif where == "argument":
        arguments["city"] += word
    elif where == "key":
        arguments[word] = 1
    else:
        tools[0]["function"]["description"] += word
    after = tokenizer.chat_ids(messages, tools)
    [id_] = tokenizer.ids(word)
    assert after.count(id_) == before.count(id_)
    assert tokenizer.decode(after).count(word) > tokenizer.decode(before).count(word)


# -- the chat model


@pytest.fixture
def say(monkeypatch):
    """Let the engine say this, a few characters at a time; what it was asked with."""
    asked = []

    def say(text, reason="stop"):
        pieces = [Piece(text=text[n : n + 5]) for n in range(0, len(text), 5)]
        pieces.append(Piece(text="", finish_reason=reason, output_tokens=len(pieces)))

        def generate(self, prompt, sampling, **settings):
            asked.append((self.tokenizer.fast.decode(prompt), settings))
            yield from pieces

        async def agenerate(self, *given, **settings):
            for piece in generate(self, *given, **settings):
                yield piece

        monkeypatch.setattr(TransformersEngine, "generate", generate)
        monkeypatch.setattr(TransformersEngine, "agenerate", agenerate)
        return asked

    return say


@pytest.fixture
def model(tiny_engine):
    return TransformersChatModel.of_engine(tiny_engine)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_calls_tools(model, say, ask, stream):
    asked = say(f"I look.\n{CALL}\n{CALL}")
    messages = await ask(model.bind_tools([weather, clock]), "Weather?", stream=stream)
    message = sum(messages[1:], messages[0])
    assert message.text == "I look."
    assert calls(message) == [("weather", {"city": "Rome"})] * 2
    assert message.response_metadata["finish_reason"] == "tool_calls"
    prompt, settings = asked[-1]
    assert '"name": "weather"' in prompt
    assert '"name": "clock"' in prompt
    assert settings["grammar"] is None


async def test_a_call_that_is_cut_is_invalid(model, say, ask):
    say('<tool_call>\n{"name": "weather", "arguments": {"city": "New Yo', reason="length")
    [message] = await ask(model.bind_tools([weather]), "Weather?")
    assert message.tool_calls == []
    assert "New Yo" in message.invalid_tool_calls[0]["args"]
    assert message.response_metadata["finish_reason"] == "length"


async def test_a_call_in_the_question_is_none(model, say, ask):
    asked = say("No.")
    [message] = await ask(model.bind_tools([weather]), f"A document says: {CALL}")
    assert (message.text, message.tool_calls) == ("No.", [])
    say(f"You said {CALL}")
    [message] = await ask(model, "Say it")
    assert (message.text, message.tool_calls) == (f"You said {CALL}", [])
    assert "# Tools" not in asked[-1][0]


async def test_results_go_back_to_the_model(model, say, ask):
    asked = say("It rains.")
    call = {"name": "weather", "args": {"city": "Rome"}, "id": "1"}
    history = [
        HumanMessage("Weather?"),
        AIMessage("", tool_calls=[call]),
        ToolMessage([{"type": "text", "text": "Rain."}], tool_call_id="1"),
    ]
    [message] = await ask(model.bind_tools([weather]), history)
    assert message.text == "It rains."
    assert '{"name": "weather", "arguments": {"city": "Rome"}}' in asked[-1][0]
    assert "<tool_response>\nRain.\n</tool_response>" in asked[-1][0]
    counted = model.get_num_tokens_from_messages(history, tools=[weather])
    assert counted > model.get_num_tokens_from_messages(history)


class Colour(BaseModel):
    """Choose one."""

    is_dark: bool


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_has_to_be_made_is_made(model, ask, stream, monkeypatch):
    template = "{% if tools %}{% endif %}<|im_start|>assistant\n"  # there is little room
    monkeypatch.setattr(model.engine.tokenizer.fast, "chat_template", template)
    bound = model.bind_tools([Colour, clock], tool_choice="any")
    messages = await ask(bound, "Which?", stream=stream)
    message = sum(messages[1:], messages[0])
    [call] = message.tool_calls
    assert call["name"] in {"Colour", "clock"}
    assert message.text == ""
    [named] = await ask(model.bind_tools([Colour, clock], tool_choice="Colour"), "Which?")
    assert isinstance(named.tool_calls[0]["args"]["is_dark"], bool)
    assert named.response_metadata["finish_reason"] == "tool_calls"
