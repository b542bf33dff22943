"""An app that listens until it is told to stop."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from langchain_graft.server.web_extra import uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

_LAST_REPLIES_SECONDS = 10
_WAITING_CONNECTIONS = 2048


def listen(app: Any, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Listen until Ctrl-C or SIGTERM; replies that are under way have some seconds to end.

    Args:
        app: An ASGI app.
        host: A name or an address.
        port: 0: any that is free.
        on_ready: Told the address when it is taken: `http://127.0.0.1:8000`.

    Raises:
        OSError: The address can not be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    shown = f"[{host}]" if ":" in host else host
    try:
        taken = socket.create_server((host, port), family=family, backlog=_WAITING_CONNECTIONS)
    except OSError as error:
        msg = f"Can not listen on {shown}:{port}: {error.strerror or error}. Choose another port"
        raise OSError(msg) from error
    with taken:
        on_ready(f"http://{shown}:{taken.getsockname()[1]}")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # after uvicorn has stopped
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_LAST_REPLIES_SECONDS,
        )
        try:
            uvicorn.Server(config).run(sockets=[taken])
        except KeyboardInterrupt:
            return
