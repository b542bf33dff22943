"""Agents: chats that search again, several retrieving agents in one, and parts for other agents."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "RETRIEVE_CODE_PROMPT",
    "RETRIEVE_DEFAULT_PROMPT",
    "RETRIEVE_QA_PROMPT",
    "Acted",
    "Answered",
    "Asked",
    "CodeBlock",
    "CodeExecutor",
    "CodeResult",
    "Event",
    "Piece",
    "RetrieveConfig",
    "RetrieveOutput",
    "Retrieved",
    "Updated",
    "Waiting",
    "astream_events",
    "create_retrieve_chat",
    "stream_events",
]

if TYPE_CHECKING:
    from langchain_graft.agents.code_executor import CodeBlock, CodeExecutor, CodeResult
    from langchain_graft.agents.events import (
        Acted,
        Answered,
        Asked,
        Event,
        Piece,
        Retrieved,
        Updated,
        Waiting,
        astream_events,
        stream_events,
    )
    from langchain_graft.agents.prompts import (
        RETRIEVE_CODE_PROMPT,
        RETRIEVE_DEFAULT_PROMPT,
        RETRIEVE_QA_PROMPT,
    )
    from langchain_graft.agents.retrieve_chat import create_retrieve_chat
    from langchain_graft.agents.retrieve_config import RetrieveConfig
    from langchain_graft.agents.retrieve_state import RetrieveOutput
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "RETRIEVE_CODE_PROMPT": "prompts",
            "RETRIEVE_DEFAULT_PROMPT": "prompts",
            "RETRIEVE_QA_PROMPT": "prompts",
            "Acted": "events",
            "Answered": "events",
            "Asked": "events",
            "CodeBlock": "code_executor",
            "CodeExecutor": "code_executor",
            "CodeResult": "code_executor",
            "Event": "events",
            "Piece": "events",
            "RetrieveConfig": "retrieve_config",
            "RetrieveOutput": "retrieve_state",
            "Retrieved": "events",
            "Updated": "events",
            "Waiting": "events",
            "astream_events": "events",
            "create_retrieve_chat": "retrieve_chat",
            "stream_events": "events",
        },
    )
