"""What of the MCP SDK is used, or word of the extra that brings it."""

from langchain_graft.errors import MissingExtraError

try:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.server.transport_security import TransportSecuritySettings
    from mcp_types import CallToolResult, TextContent, ToolAnnotations
except ImportError as error:
    raise MissingExtraError("mcp") from error

__all__ = [
    "CallToolResult",
    "MCPServer",
    "TextContent",
    "ToolAnnotations",
    "ToolError",
    "TransportSecuritySettings",
]
