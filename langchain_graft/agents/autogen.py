"""Our chains and retrievers for agents of AutoGen 0.4 and later: as a tool, and as a memory.

It is imported by this path, and no extra brings AutoGen: its `protobuf` is older than what the
extras bring. Both fit into an environment that does without those (`pip install langchain-graft
autogen-agentchat`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_graft.agents.tools import check_text_tool, passages_about

try:
    from autogen_core.memory import (
        Memory,
        MemoryContent,
        MemoryMimeType,
        MemoryQueryResult,
        UpdateContextResult,
    )
    from autogen_core.models import SystemMessage, UserMessage
    from autogen_core.tools import BaseTool as AutogenTool
except ImportError as error:
    msg = "This part needs AutoGen 0.4 or later. Install it: pip install autogen-agentchat"
    raise ImportError(msg) from error

if TYPE_CHECKING:
    from autogen_core import CancellationToken
    from autogen_core.model_context import ChatCompletionContext
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel


def create_autogen_tool(tool: BaseTool) -> AutogenTool[Any, Any]:
    """A LangChain tool as one of AutoGen: of `create_chain_tool`, `create_retrieval_tool`, or any.

    Args:
        tool: What it fails by is told to the agent's model, as AutoGen does.

    Example:
        >>> AssistantAgent("clerk", model_client, tools=[create_autogen_tool(tool)])
    """
    return _Tool(tool)


class _Tool(AutogenTool[Any, Any]):
    def __init__(self, tool: BaseTool) -> None:
        super().__init__(tool.get_input_schema(), str, tool.name, tool.description)
        self._tool = tool

    async def run(self, args: BaseModel, cancellation_token: CancellationToken) -> str:
        call = asyncio.ensure_future(self._tool.ainvoke(args.model_dump()))
        cancellation_token.link_future(call)
        return str(await call)


class AutogenMemory(Memory):
    """What a tool of ours says to the user's last message, in the agent's context.

    It goes into `AssistantAgent(..., memory=[AutogenMemory(tool)])`. It only reads: documents are
    added to the index that the tool searches.

    Args:
        tool: Of `create_retrieval_tool` (its passages are put there) or of `create_chain_tool`
            (the answer and what it cites).

    Raises:
        ValueError: The tool takes something else than one text.
    """

    def __init__(self, tool: BaseTool) -> None:
        check_text_tool(tool)
        self._tool = tool

    async def update_context(self, model_context: ChatCompletionContext) -> UpdateContextResult:
        """Put what is said to the user's last message behind it."""
        messages = await model_context.get_messages()
        asked = [one.content for one in messages if isinstance(one, UserMessage)]
        question = asked[-1] if asked and isinstance(asked[-1], str) else ""
        found = await self.query(question)
        for one in found.results:
            await model_context.add_message(SystemMessage(content=str(one.content)))
        return UpdateContextResult(memories=found)

    async def query(
        self,
        query: str | MemoryContent,
        cancellation_token: CancellationToken | None = None,
        **_: Any,
    ) -> MemoryQueryResult:
        """What the tool says, as one text."""
        text = str(query.content) if isinstance(query, MemoryContent) else query
        call = asyncio.ensure_future(passages_about(self._tool, text))
        if cancellation_token:
            cancellation_token.link_future(call)
        if not (said := await call):
            return MemoryQueryResult(results=[])
        content = MemoryContent(content=said, mime_type=MemoryMimeType.TEXT)
        return MemoryQueryResult(results=[content])

    async def add(
        self, content: MemoryContent, cancellation_token: CancellationToken | None = None
    ) -> None:
        """Refused.

        Raises:
            NotImplementedError: Always.
        """
        del content, cancellation_token
        msg = "This memory only reads: add documents to the index that its tool searches"
        raise NotImplementedError(msg)

    async def clear(self) -> None:
        """Nothing is kept here: there is nothing to clear."""

    async def close(self) -> None:
        """The tool is its owner's to close."""
