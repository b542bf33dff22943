"""What of FastAPI, uvicorn and Prometheus is used, or word of the extra that brings them."""

from langchain_graft.errors import MissingExtraError

try:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import Response, StreamingResponse
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from starlette.exceptions import HTTPException
except ImportError as error:
    raise MissingExtraError("serve") from error

__all__ = [
    "CollectorRegistry",
    "Counter",
    "FastAPI",
    "Gauge",
    "HTTPException",
    "Histogram",
    "RequestValidationError",
    "Response",
    "StreamingResponse",
    "generate_latest",
    "uvicorn",
]
