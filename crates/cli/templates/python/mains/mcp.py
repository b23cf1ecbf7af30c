"""Offers the tools to MCP clients: streamable HTTP, `/mcp` on port 8000."""

from mcp.server.mcpserver import MCPServer
from tools import TOOLS

server = MCPServer("{{name}}")
for function in TOOLS:
    server.tool()(function)

if __name__ == "__main__":
    server.run("streamable-http", host="0.0.0.0", port=8000)
