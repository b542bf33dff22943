"""Agents: chats that search again, several retrieving agents in one, and parts for other agents."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "RETRIEVE_CODE_PROMPT",
    "RETRIEVE_DEFAULT_PROMPT",
    "RETRIEVE_QA_PROMPT",
    "AG2Memory",
    "Acted",
    "Answered",
    "Asked",
    "CitationMiddleware",
    "CodeBlock",
    "CodeExecutor",
    "CodeResult",
    "Contribution",
    "CypherGuardMiddleware",
    "Event",
    "GroupAgent",
    "GroupOutput",
    "Piece",
    "RetrievalMiddleware",
    "RetrieveConfig",
    "RetrieveOutput",
    "Retrieved",
    "Spoke",
    "Updated",
    "Waiting",
    "aopen_sqlite_saver",
    "astream_events",
    "create_ag2_tool",
    "create_chain_tool",
    "create_group_chat",
    "create_retrieval_tool",
    "create_retrieve_chat",
    "create_retrieving_agent",
    "open_sqlite_saver",
    "stream_events",
]

if TYPE_CHECKING:
    from langchain_graft.agents.ag2 import (
        AG2Memory,
        create_ag2_tool,
    )
    from langchain_graft.agents.code_executor import (
        CodeBlock,
        CodeExecutor,
        CodeResult,
    )
    from langchain_graft.agents.cypher_guard import (
        CypherGuardMiddleware,
    )
    from langchain_graft.agents.events import (
        Acted,
        Answered,
        Asked,
        Event,
        Piece,
        Retrieved,
        Spoke,
        Updated,
        Waiting,
        astream_events,
        stream_events,
    )
    from langchain_graft.agents.group_agent import (
        GroupAgent,
        create_retrieving_agent,
    )
    from langchain_graft.agents.group_chat import (
        create_group_chat,
    )
    from langchain_graft.agents.group_state import (
        Contribution,
        GroupOutput,
    )
    from langchain_graft.agents.middleware import (
        CitationMiddleware,
        RetrievalMiddleware,
    )
    from langchain_graft.agents.prompts import (
        RETRIEVE_CODE_PROMPT,
        RETRIEVE_DEFAULT_PROMPT,
        RETRIEVE_QA_PROMPT,
    )
    from langchain_graft.agents.retrieve_chat import (
        create_retrieve_chat,
    )
    from langchain_graft.agents.retrieve_config import (
        RetrieveConfig,
    )
    from langchain_graft.agents.retrieve_state import (
        RetrieveOutput,
    )
    from langchain_graft.agents.sqlite_saver import (
        aopen_sqlite_saver,
        open_sqlite_saver,
    )
    from langchain_graft.agents.tools import (
        create_chain_tool,
        create_retrieval_tool,
    )
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "RETRIEVE_CODE_PROMPT": "prompts",
            "RETRIEVE_DEFAULT_PROMPT": "prompts",
            "RETRIEVE_QA_PROMPT": "prompts",
            "AG2Memory": "ag2",
            "Acted": "events",
            "Answered": "events",
            "Asked": "events",
            "CitationMiddleware": "middleware",
            "CodeBlock": "code_executor",
            "CodeExecutor": "code_executor",
            "CodeResult": "code_executor",
            "Contribution": "group_state",
            "CypherGuardMiddleware": "cypher_guard",
            "Event": "events",
            "GroupAgent": "group_agent",
            "GroupOutput": "group_state",
            "Piece": "events",
            "RetrievalMiddleware": "middleware",
            "RetrieveConfig": "retrieve_config",
            "RetrieveOutput": "retrieve_state",
            "Retrieved": "events",
            "Spoke": "events",
            "Updated": "events",
            "Waiting": "events",
            "aopen_sqlite_saver": "sqlite_saver",
            "astream_events": "events",
            "create_ag2_tool": "ag2",
            "create_chain_tool": "tools",
            "create_group_chat": "group_chat",
            "create_retrieval_tool": "tools",
            "create_retrieve_chat": "retrieve_chat",
            "create_retrieving_agent": "group_agent",
            "open_sqlite_saver": "sqlite_saver",
            "stream_events": "events",
        },
    )
