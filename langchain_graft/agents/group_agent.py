"""An agent of a group chat: a chain with a name, and whom it hands over to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_graft.chains.rag import RagSettings, create_rag_chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import RetrieverLike
    from langchain_core.tools import BaseTool

_NAME = re.compile(r"[A-Za-z][\w-]{0,39}")


@dataclass(frozen=True, kw_only=True)
class GroupAgent:
    """An agent of `create_group_chat`."""

    name: str
    """A word, by which the manager calls it."""
    chain: Runnable[Any, Any]
    """Any chain of ours: it answers, with `context` and `citations`."""
    description: str = ""
    """What its sources are good for: what the manager chooses by."""
    hands_to: tuple[str, ...] = ()
    """Who is asked when its answer does not stand, in this order."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What its chain is told in `config["configurable"]`, such as `{"adapter": "legal"}`."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = f"An agent's name must be a word such as 'graph', not {self.name!r}"
            raise ValueError(msg)
        if not isinstance(self.chain, Runnable):
            msg = f"The agent {self.name!r} needs a chain of ours, not {self.chain!r:.80}"
            raise TypeError(msg)


def create_retrieving_agent(
    name: str,
    model: BaseChatModel,
    source: RetrieverLike | BaseTool,
    *,
    description: str = "",
    hands_to: tuple[str, ...] = (),
    adapter: str | None = None,
    **settings: Unpack[RagSettings],
) -> GroupAgent:
    """An agent that answers from what a retriever finds, or a tool, such as a search of the web.

    Args:
        name: A word, by which the manager calls it.
        model: Its chat model; agents may have one in common.
        source: Any LangChain retriever; or a tool from a query to a text, or to documents.
        description: What its sources are good for.
        hands_to: Who is asked when its answer does not stand.
        adapter: Of a model that has adapters: the one that answers for this agent.
        settings: As for `create_rag_chain`.
    """
    from langchain_core.tools import BaseTool  # noqa: PLC0415 (it is slow to import)

    retriever = retriever_of_tool(source) if isinstance(source, BaseTool) else source
    return GroupAgent(
        name=name,
        chain=create_rag_chain(model, retriever, **settings),
        description=description,
        hands_to=hands_to,
        settings={"adapter": adapter} if adapter else {},
    )


def retriever_of_tool(tool: BaseTool) -> Runnable[str, list[Document]]:
    """A tool as a retriever: what it gives for a query is a document, or several."""

    def search(query: str) -> list[Document]:
        return _documents(tool.invoke(_arguments(tool, query)), tool.name)

    async def asearch(query: str) -> list[Document]:
        return _documents(await tool.ainvoke(_arguments(tool, query)), tool.name)

    return RunnableLambda(search, asearch, name=tool.name)


def _arguments(tool: BaseTool, query: str) -> dict[str, str] | str:
    names = list(tool.args)
    return {names[0]: query} if names else query


def _documents(found: Any, name: str) -> list[Document]:
    found = found if isinstance(found, list | tuple) else [found]
    return [
        one
        if isinstance(one, Document)
        else Document(id=f"{name}-{n}", page_content=_text(one), metadata=_about(one, name))
        for n, one in enumerate(found, 1)
        if one
    ]


def _text(one: Any) -> str:
    keys = ("content", "snippet", "text", "page_content")
    found = next((one[key] for key in keys if one.get(key)), "") if isinstance(one, dict) else one
    return str(found)


def _about(one: Any, name: str) -> dict[str, Any]:
    given = one if isinstance(one, dict) else {}
    source = given.get("url") or given.get("link") or name
    title = {"title": str(given["title"])} if given.get("title") else {}
    return {"source_id": str(source), **title}
