"""What a client is told of what goes wrong."""

import httpx
import openai
import pytest

from langchain_graft.errors import (
    AdapterNotFoundError,
    ContextTooLongError,
    GraftError,
    GraphUnavailableError,
    ModelServerError,
    RetrievalError,
)
from langchain_graft.server.error_reply import error_reply, refuse

ADDRESS = "bolt://admin:hunter2@10.0.0.1"
AWAY = openai.APIConnectionError(message=ADDRESS, request=httpx.Request("GET", "http://x"))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ContextTooLongError(tokens=9, limit=5), 400, "context_length_exceeded"),
        (AdapterNotFoundError("legal", available=[]), 404, "model_not_found"),
        (refuse("no", status=413, code="x"), 413, "x"),
    ],
)
def test_what_the_client_can_mend_is_told_in_full(error, status, code):
    reply = error_reply(error)
    assert (reply.status, reply.code, reply.type) == (status, code, "invalid_request_error")
    assert str(error) == reply.message


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (GraphUnavailableError(ADDRESS), 503),
        (ModelServerError(ADDRESS), 503),
        (RetrievalError([ADDRESS]), 503),
        (AWAY, 502),
        (GraftError(ADDRESS), 500),
        (ValueError(ADDRESS), 500),
        (KeyError(ADDRESS), 500),
    ],
)
def test_what_it_can_not_is_in_the_log(error, status, caplog):
    reply = error_reply(error)
    assert (reply.status, reply.type) == (status, "server_error")
    assert type(error).__name__ in reply.message
    assert b"hunter2" not in reply.body()
    assert "hunter2" in caplog.text
    assert ("retry-after" in reply.headers()) == (status == 503)
