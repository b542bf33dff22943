"""What goes wrong, as OpenAI's clients know it: a status and `{"error": {...}}`."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from langchain_graft.errors import (
    AdapterNotFoundError,
    ContextTooLongError,
    GraphUnavailableError,
    ModelServerError,
    RetrievalError,
    UnknownModelError,
)

_logger = logging.getLogger(__name__)
_SERVICES = ("anthropic", "httpcore", "httpx", "httpx2", "neo4j", "ollama", "openai", "requests")
_AWAY = (GraphUnavailableError, ModelServerError, RetrievalError)
_RETRY_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class ErrorReply:
    """A reply that says what went wrong."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    """Which part of the request."""
    retry_after: int | None = None
    """Seconds."""

    def to_json(self) -> dict[str, Any]:
        """OpenAI's shape."""
        told = {name: getattr(self, name) for name in ("message", "type", "code", "param")}
        return {"error": told}

    def body(self) -> bytes:
        """The same in bytes, in which any character of a request can be told."""
        return json.dumps(self.to_json()).encode("ascii")

    def headers(self) -> dict[str, str]:
        """What goes with it."""
        headers = {"content-type": "application/json"}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.status == 401:  # noqa: PLR2004 (HTTP's)
            headers["www-authenticate"] = "Bearer"
        return headers


class RefusedRequest(Exception):  # noqa: N818 (it never leaves the server)
    """A request that is answered by an error."""

    def __init__(self, reply: ErrorReply) -> None:
        self.reply = reply
        super().__init__(reply.message)


def refuse(message: str, *, status: int = 400, **more: Any) -> RefusedRequest:
    """A request that is answered by an error, to be raised."""
    return RefusedRequest(ErrorReply(status=status, message=message, **more))


def error_reply(error: BaseException) -> ErrorReply:
    """What a client is told of an error; what it is not told is in the log."""
    if isinstance(error, RefusedRequest):
        return error.reply
    if isinstance(error, ContextTooLongError):
        return ErrorReply(status=400, message=str(error), code="context_length_exceeded")
    if isinstance(error, AdapterNotFoundError | UnknownModelError):
        return ErrorReply(status=404, message=str(error), code="model_not_found", param="model")
    _logger.error("A request failed", exc_info=error)
    return _failure(error)


def _failure(error: BaseException) -> ErrorReply:
    """What is not the client's fault."""
    kind = type(error).__name__
    if isinstance(error, _AWAY):
        return ErrorReply(
            status=503,
            message=f"What answers can not be reached or took too long ({kind}); try again",
            type="server_error",
            retry_after=_RETRY_SECONDS,
        )
    if type(error).__module__.partition(".")[0] in _SERVICES:
        message = f"The service behind this server failed ({kind}); its log says more"
        return ErrorReply(status=502, message=message, type="server_error")
    message = f"The server failed ({kind}); its log says more"
    return ErrorReply(status=500, message=message, type="server_error")
