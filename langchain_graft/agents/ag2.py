"""Our chains and retrievers for agents of AG2 1.x: as a tool, and as a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from langchain_graft.agents.tools import check_text_tool, passages_about
from langchain_graft.errors import MissingExtraError

try:
    from ag2 import tool as ag2_tool
    from ag2.events import BaseEvent, ModelRequest, TextInput
except ImportError as error:
    raise MissingExtraError("ag2") from error

if TYPE_CHECKING:
    from ag2.context import ConversationContext
    from ag2.tools.types import FunctionTool
    from langchain_core.tools import BaseTool


def create_ag2_tool(tool: BaseTool) -> FunctionTool:
    """A LangChain tool as one of AG2: of `create_chain_tool`, `create_retrieval_tool`, or any.

    Args:
        tool: What it fails by is told to the agent's model, as AG2 does.

    Example:
        >>> Agent("clerk", config=..., tools=[create_ag2_tool(create_chain_tool(chain))])
    """

    async def call(**arguments: Any) -> str:
        return str(await tool.ainvoke(arguments))

    schema = tool.get_input_jsonschema()
    return ag2_tool(call, name=tool.name, description=tool.description, schema=schema)


class AG2Memory:
    """Puts what a tool of ours says to the user's last message before each call of AG2's model.

    It goes into `Agent(..., assembly=[AG2Memory(tool)])`. A message is asked about once, however
    often the model is called for it; messages without text are not.

    Args:
        tool: Of `create_retrieval_tool` (its passages are put there) or of `create_chain_tool`
            (the answer and what it cites).

    Raises:
        ValueError: The tool takes something else than one text.
    """

    name = "langchain_graft"

    def __init__(self, tool: BaseTool) -> None:
        check_text_tool(tool)
        self._tool = tool
        self._said = WeakKeyDictionary[Any, tuple[ModelRequest, str]]()

    async def apply(
        self, prompts: list[str], events: list[BaseEvent], context: ConversationContext
    ) -> tuple[list[str], list[BaseEvent]]:
        """The prompts and what was found for the last message, and the events as they are."""
        asked = [event for event in events if isinstance(event, ModelRequest)]
        if not asked:
            return prompts, events
        request, said = self._said.get(context.stream, (None, ""))
        if request is not asked[-1]:
            said = await passages_about(self._tool, _text(asked[-1]))
            self._said[context.stream] = asked[-1], said
        return [*prompts, said] if said else prompts, events


def _text(request: ModelRequest) -> str:
    return "\n".join(one.content for one in request.parts if isinstance(one, TextInput))
