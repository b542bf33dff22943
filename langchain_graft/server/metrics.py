"""What Prometheus is told of a server."""

from __future__ import annotations

from langchain_graft.server.web_extra import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

ROUTES = ("/v1/chat/completions", "/v1/embeddings", "/v1/models", "/health", "/metrics", "/mcp")
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320)


class Metrics:
    """The counts of one server; two in one process have their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "graft_requests_total",
            "Requests, by their reply's status",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "graft_request_seconds",
            "From a request's first byte to the end of its reply",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.working = Gauge(
            "graft_requests_working", "Requests that are worked on", registry=self._registry
        )
        self.waiting = Gauge(
            "graft_requests_waiting", "Requests that wait for their turn", registry=self._registry
        )
        self._tokens = Counter(
            "graft_tokens_total", "Tokens read and written", ("kind",), registry=self._registry
        )

    def answered(self, path: str, *, status: int, seconds: float) -> None:
        """Note a request that is over."""
        route = next((one for one in ROUTES if path == one or path.startswith(f"{one}/")), "other")
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def used(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Note what models read and wrote."""
        self._tokens.labels("prompt").inc(prompt_tokens)
        self._tokens.labels("completion").inc(completion_tokens)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
