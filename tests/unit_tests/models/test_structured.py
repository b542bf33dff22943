"""Structured output from a model that is scripted."""

import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_graft.models.structured import create_json_output
from langchain_graft.testing import ScriptedChatModel


class Computer(BaseModel):
    """A computer."""

    name: str
    year: int = Field(ge=1940)


class ComputerDict(TypedDict):
    """A computer."""

    name: str
    year: int


SCHEMA = {
    "title": "Computer",
    "type": "object",
    "properties": {"name": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["name", "year"],
}
REPLY = '{"name": "Lisa", "year": 1983}'
PARSED = {"name": "Lisa", "year": 1983}
KINDS = pytest.mark.parametrize(
    ("schema", "expected"),
    [(Computer, Computer(**PARSED)), (ComputerDict, PARSED), (SCHEMA, PARSED)],
)


@pytest.fixture(params=["invoke", "ainvoke"])
def ask(request):
    async def ask(runnable):
        if request.param == "ainvoke":
            return await runnable.ainvoke("Which one?")
        return runnable.invoke("Which one?")

    return ask


@KINDS
async def test_the_answer_is_parsed(ask, schema, expected):
    assert await ask(create_json_output(ScriptedChatModel(script=[REPLY]), schema)) == expected


@KINDS
def test_the_schema_goes_to_the_server(schema, expected):
    bound = create_json_output(ScriptedChatModel(), schema).first
    sent = bound.kwargs["extra_body"]["json_schema"]
    assert sent["type"] == "object"
    assert set(sent["properties"]) == {"name", "year"}
    assert bound.kwargs["ls_structured_output_format"]["schema"] == sent


@KINDS
async def test_the_raw_answer_is_kept_beside_it(ask, schema, expected):
    model = ScriptedChatModel(script=[REPLY])
    given = await ask(create_json_output(model, schema, include_raw=True))
    assert given["raw"].text == REPLY
    assert (given["parsed"], given["parsing_error"]) == (expected, None)


@pytest.mark.parametrize("reply", ["no JSON", '{"name": "Abacus", "year": -500}'])
async def test_a_bad_answer_is_an_error_or_is_told_beside_the_raw_one(ask, reply):
    model = ScriptedChatModel(script=[reply, reply])
    with pytest.raises(OutputParserException):
        await ask(create_json_output(model, Computer))
    given = await ask(create_json_output(model, Computer, include_raw=True))
    assert given["raw"].text == reply
    assert given["parsed"] is None
    assert isinstance(given["parsing_error"], OutputParserException)
