"""What of LangGraph is used, or word of the extra that brings it."""

from langchain_graft.errors import MissingExtraError

try:
    from langgraph.config import get_stream_writer
    from langgraph.graph import END, START, StateGraph
    from langgraph.graph.message import add_messages, push_message
    from langgraph.types import interrupt
except ImportError as error:
    raise MissingExtraError("agents") from error

__all__ = [
    "END",
    "START",
    "StateGraph",
    "add_messages",
    "get_stream_writer",
    "interrupt",
    "push_message",
]
