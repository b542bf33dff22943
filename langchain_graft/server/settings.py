"""What a server lets in, and how much of it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where a server listens, and its limits."""

    host: str = "127.0.0.1"
    """Loopback; another address needs API keys."""
    port: int = 8000
    """0: any that is free."""
    timeout_seconds: float = 300.0
    """Most time for a request, from its first byte to the end of its reply."""
    max_body_bytes: int = 1_000_000
    max_concurrent: int = 16
    """Requests that are worked on at the same time."""
    max_waiting: int = 128
    """Requests that wait for their turn; one more is refused (503, Retry-After)."""
    requests_per_minute: int | None = 600
    """Of one key, or of all who ask where there are no keys; None: no limit."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:  # noqa: PLR2004 (a port)
            msg = f"port lies from 0 to 65535, not {self.port!r}"
            raise ValueError(msg)
        if self.timeout_seconds <= 0 or self.max_waiting < 0:
            msg = (
                "timeout_seconds is over 0 and max_waiting 0 or more, not "
                f"{self.timeout_seconds!r} and {self.max_waiting!r}"
            )
            raise ValueError(msg)
        for name in ("max_body_bytes", "max_concurrent", "requests_per_minute"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"{name} is 1 or more, not {value!r}"
                raise ValueError(msg)


def is_loopback(host: str) -> bool:
    """Whether a host, without port, is this machine and seen from nowhere else."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
