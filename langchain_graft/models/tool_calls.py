"""Tool calls of a local model: asked for in its prompt, found in its reply.

The form is that of Hermes and Qwen: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`,
one or more, behind text or alone. Only a model's own reply is looked through for it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.utils.function_calling import convert_to_openai_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.tools import BaseTool

OPEN, CLOSE = "<tool_call>", "</tool_call>"
WORDS = (OPEN, CLOSE, "<tool_response>", "</tool_response>", "<tools>", "</tools>")
"""What marks tools in a prompt: a message's own such words are read as plain ones."""
BEGUN = f"{OPEN}\n"
"""What a reply is begun with that has to be a call."""

# After the Hermes function calling format, as Qwen2.5's chat template puts it.
_INSTRUCTIONS = """\
# Tools

You may call one or more of these functions to help with the user's request:
<tools>
{tools}
</tools>

For each call write a JSON object with the function's name and arguments between these tags:
<tool_call>
{{"name": <function-name>, "arguments": <arguments-object>}}
</tool_call>"""


@dataclass(frozen=True)
class AskedTools:
    """The tools that a request may, or has to, use."""

    tools: tuple[dict[str, Any], ...] = ()
    """As OpenAI describes them."""
    forced: tuple[str, ...] = ()
    """Names of which one has to be called; none: the model chooses."""

    @classmethod
    def of(cls, kwargs: Mapping[str, Any]) -> Self:
        """Those that a call's arguments `tools` and `tool_choice` ask for.

        Raises:
            ValueError: `tool_choice` is none, or names no tool, or comes with a grammar.
        """
        tools = tuple(convert_to_openai_tool(tool) for tool in kwargs.get("tools") or ())
        choice = kwargs.get("tool_choice")
        if isinstance(choice, dict):
            choice = (choice.get("function") or choice).get("name", str(choice))
        names = tuple(tool["function"]["name"] for tool in tools)
        if choice == "none":
            return cls()
        if choice in {None, "auto", False}:
            return cls(tools)
        if choice not in {"any", "required", True, *names}:
            msg = f"tool_choice is 'auto', 'any', 'none' or one of {names}, not {choice!r}"
            raise ValueError(msg)
        if kwargs.get("extra_body"):
            msg = f"tool_choice={choice!r} constrains the reply: leave extra_body out"
            raise ValueError(msg)
        return cls(tools, (choice,) if choice in names else names)

    @property
    def schema(self) -> dict[str, Any] | None:
        """What a call has to be; None: the model chooses whether there is one."""
        forced = [
            tool["function"] for tool in self.tools if tool["function"]["name"] in self.forced
        ]
        definitions: dict[str, Any] = {}
        calls = [_call_schema(function, definitions) for function in forced]
        return {"anyOf": calls, "$defs": definitions} if calls else None

    def reader(self) -> ToolCallReader:
        """What finds the calls in a reply."""
        return ToolCallReader(text="" if self.forced else None, is_looking=bool(self.tools))


def tool_parameters(
    tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
    tool_choice: dict[str, Any] | str | bool | None,  # noqa: FBT001 (LangChain's)
) -> dict[str, Any]:
    """Arguments of a call that may use these tools; see `AskedTools.of`."""
    given = {"tools": [convert_to_openai_tool(tool) for tool in tools], "tool_choice": tool_choice}
    AskedTools.of(given)
    return {name: value for name, value in given.items() if value is not None}


def _call_schema(function: Mapping[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A call of one function; what its parameters define is put into `definitions`."""
    name = function["name"]
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    text = json.dumps(parameters).replace('"#/$defs/', f'"#/$defs/{name}.')
    parameters = json.loads(text)
    for key, value in parameters.pop("$defs", {}).items():
        definitions[f"{name}.{key}"] = value
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def told_in_words(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Messages for a chat template that knows no tools: all of them in texts.

    Args:
        messages: As for OpenAI, `arguments` as objects.
        tools: As OpenAI describes them.
    """
    told = [_in_words(message) for message in messages]
    if not tools:
        return told
    text = _INSTRUCTIONS.format(tools="\n".join(json.dumps(tool) for tool in tools))
    if told and told[0]["role"] == "system":
        return [{**told[0], "content": f"{told[0]['content']}\n\n{text}"}, *told[1:]]
    return [{"role": "system", "content": text}, *told]


def _in_words(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content") or ""
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
    if not message.get("tool_calls"):
        return dict(message)
    functions = [json.dumps(call["function"], ensure_ascii=False) for call in message["tool_calls"]]
    calls = [f"{OPEN}\n{function}\n{CLOSE}" for function in functions]
    return {"role": message["role"], "content": "\n".join([content, *calls]).lstrip()}


@dataclass
class ToolCallReader:
    """Finds the calls in a reply that comes piece by piece.

    Text is passed on as soon as it can not be the beginning of a call, a call when it is whole. One
    that is no JSON, or was cut, is passed on as it is: LangChain puts it among
    `invalid_tool_calls`.
    """

    text: str | None = None
    """Of the call that has begun; None: none has."""
    found: int = 0
    """Number of calls so far."""
    is_looking: bool = True
    """Whether there are tools; else all is text."""
    _held: str = field(default="", init=False)

    def push(self, text: str, *, last: bool = False) -> tuple[str, list[ToolCallChunk]]:
        """Take a piece; the text and the calls that are certain by now."""
        if not self.is_looking:
            return text, []
        calls: list[ToolCallChunk] = []
        rest, said, self._held = self._held + text, "", ""
        while True:
            if self.text is None:
                before, begun, rest = rest.partition(OPEN)
                said += before.rstrip() if begun else before
                if not begun:
                    break
                self.text = ""
            body, ended, behind = (self.text + rest).partition(CLOSE)
            if not ended and not last:
                self.text = body
                return said, calls
            calls.append(self._call(body, is_whole=bool(ended)))
            self.text, rest = None, behind.lstrip()
        if self.found:
            said = said if said.strip() else ""
        kept = 0 if last else _unsure(said)
        self._held = said[len(said) - kept :]
        return said[: len(said) - kept], calls

    def _call(self, body: str, *, is_whole: bool) -> ToolCallChunk:
        self.found += 1
        name, arguments = _parsed(body)
        if name is None or arguments is None:
            arguments = f"{OPEN}{body}{CLOSE if is_whole else ''}"
        return tool_call_chunk(
            name=name,
            args=arguments,
            id=f"call_{uuid.uuid4().hex[:24]}",
            index=self.found - 1,
        )


def _parsed(body: str) -> tuple[str | None, str | None]:
    """Name and arguments, JSON of an object; None where there is none."""
    try:
        call = json.loads(body.strip())
        arguments = call.get("arguments", call.get("parameters", {}))
        if isinstance(arguments, str):
            arguments = json.loads(arguments or "{}")
    except (ValueError, AttributeError, RecursionError):
        return None, None
    name = call.get("name")
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return (name if isinstance(name, str) else None), None
    return name, json.dumps(arguments, ensure_ascii=False)


def _unsure(text: str) -> int:
    """Characters at the end that may belong to a call: blanks, and the beginning of its mark."""
    bare = text
    for length in range(min(len(OPEN) - 1, len(text)), 0, -1):
        if OPEN.startswith(text[-length:]):
            bare = text[:-length]
            break
    return len(text) - len(bare.rstrip())
