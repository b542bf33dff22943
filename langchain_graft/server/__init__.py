"""Servers: knowledge bases over OpenAI's HTTP API and over MCP."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "ApiKeys",
    "Gate",
    "Metrics",
    "Served",
    "ServerSettings",
    "adapter_names",
    "check_reach",
    "create_app",
    "create_mcp_server",
    "listen",
    "mcp_app",
    "read_api_keys",
]

if TYPE_CHECKING:
    from langchain_graft.server.api_keys import ApiKeys, check_reach, read_api_keys
    from langchain_graft.server.app import create_app
    from langchain_graft.server.gate import Gate
    from langchain_graft.server.listening import listen
    from langchain_graft.server.mcp_server import create_mcp_server, mcp_app
    from langchain_graft.server.metrics import Metrics
    from langchain_graft.server.served import Served, adapter_names
    from langchain_graft.server.settings import ServerSettings
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "ApiKeys": "api_keys",
            "Gate": "gate",
            "Metrics": "metrics",
            "Served": "served",
            "ServerSettings": "settings",
            "adapter_names": "served",
            "check_reach": "api_keys",
            "create_app": "app",
            "create_mcp_server": "mcp_server",
            "listen": "listening",
            "mcp_app": "mcp_server",
            "read_api_keys": "api_keys",
        },
    )
