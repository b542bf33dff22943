"""The HTTP API: OpenAI's chat completions, embeddings and models over chains of ours."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import run_in_executor

from langchain_graft import __version__
from langchain_graft.models.compute import compute_pool
from langchain_graft.server.api_keys import ApiKeys, check_reach
from langchain_graft.server.chain_run import ChainRun
from langchain_graft.server.chat_completions import Completion, as_bytes
from langchain_graft.server.chat_request import ChatRequest
from langchain_graft.server.embeddings_request import EmbeddingsRequest, embed
from langchain_graft.server.error_reply import ErrorReply, error_reply, refuse
from langchain_graft.server.gate import Gate
from langchain_graft.server.metrics import Metrics
from langchain_graft.server.settings import ServerSettings
from langchain_graft.server.web_extra import (
    FastAPI,
    HTTPException,
    RequestValidationError,
    Response,
    StreamingResponse,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from langchain_graft.server.served import Served

_NOT_FOUND = 404


def create_app(
    served: Served, *, settings: ServerSettings | None = None, api_keys: Sequence[str] = ()
) -> Gate:
    """An ASGI app that speaks OpenAI's API.

    It holds no state beside its counts: any number of them may serve one knowledge base.

    Args:
        served: The models.
        settings: Where it will listen, and its limits.
        api_keys: Those that are let in; none: only this machine is answered.

    Raises:
        ValueError: It could be reached from other machines without a key, or a key is too short.
    """
    settings, keys = settings or ServerSettings(), ApiKeys(api_keys)
    check_reach(settings, keys)
    metrics = Metrics()
    app = FastAPI(title="langchain-graft", version=__version__, docs_url=None, redoc_url=None)
    _add_watching(app, metrics)
    _add_models(app, served)
    _add_answers(app, served, metrics)
    for kind in (Exception, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _told)
    return Gate(app, settings=settings, keys=keys, metrics=metrics)


def _add_watching(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")


def _add_models(app: FastAPI, served: Served) -> None:
    started = int(time.time())

    def as_model(name: str, kind: str) -> dict[str, Any]:
        known = {"id": name, "object": "model", "created": started}
        return {**known, "owned_by": "langchain-graft", "graft": {"kind": kind}}

    @app.get("/v1/models")
    def list_models() -> dict[str, Any]:
        data = [as_model(name, kind) for name, kind in served.models().items()]
        return {"object": "list", "data": data}

    @app.get("/v1/models/{model:path}")
    def get_model(model: str) -> dict[str, Any]:
        kind = served.models().get(model)
        if kind is None:
            message = f"The model {model!r:.200} does not exist"
            raise refuse(message, status=_NOT_FOUND, code="model_not_found", param="model")
        return as_model(model, kind)


def _add_answers(app: FastAPI, served: Served, metrics: Metrics) -> None:
    @app.post("/v1/embeddings")
    async def embeddings(asked: EmbeddingsRequest) -> Response:
        reply = await embed(asked, served.embedder)
        metrics.used(reply["usage"]["prompt_tokens"], 0)
        return Response(as_bytes(reply), media_type="application/json")

    @app.post("/v1/chat/completions")
    async def chat(asked: ChatRequest) -> Response:
        given, settings = asked.chain_input(), asked.settings()
        chain, more = await run_in_executor(
            compute_pool(), served.chain, asked.model, settings.get("adapter")
        )
        served.check_filter(asked.model, settings)
        answering = asked.answering()
        served.check_answering(asked.model, answering)
        settings |= {**more, **answering}
        run = ChainRun(
            chain, given, settings=settings, most_tokens=asked.most_tokens, stop=asked.stop or ()
        )
        completion = Completion(model=asked.model)
        if not asked.stream:
            reply = await completion.whole(run)
            _count(metrics, run)
            return Response(as_bytes(reply), media_type="application/json")
        options = asked.stream_options
        events = completion.events(
            run,
            with_usage=bool(options and options.include_usage),
            on_end=lambda: _count(metrics, run),
        )
        first = await anext(events)
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return StreamingResponse(
            _all(first, events), media_type="text/event-stream", headers=headers
        )


async def _all(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):  # a client that goes away stops the chain
        yield first
        async for one in rest:
            yield one


def _count(metrics: Metrics, run: ChainRun) -> None:
    usage = run.usage()
    metrics.used(usage["prompt_tokens"], usage["completion_tokens"])


async def _told(_: object, error: Exception) -> Response:
    reply = _reply(error)
    return Response(reply.body(), status_code=reply.status, headers=reply.headers())


def _reply(error: Exception) -> ErrorReply:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = [str(one) for one in first["loc"] if one != "body"]
        param = ".".join(place) or None
        return ErrorReply(status=400, message=f"{param or 'body'}: {first['msg']}", param=param)
    if isinstance(error, HTTPException):
        return ErrorReply(status=error.status_code, message=str(error.detail))
    return error_reply(error)
