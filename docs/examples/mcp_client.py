"""Lists Millpond's tools and asks a few of them, with the official MCP SDK for Python (`pip install mcp`).

    python mcp_client.py http://127.0.0.1:7171/mcp          a server; MILLPOND_KEY holds the key, if it wants one
    python mcp_client.py millpond mcp --config millpond.toml   a process of its own, on standard input and output
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


def server(words):
    if not words[0].startswith("http"):
        return StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ))
    key = os.environ.get("MILLPOND_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return streamable_http_client(words[0], http_client=create_mcp_http_client(headers=headers))


async def ask(client, tool, **arguments):
    result = await client.call_tool(tool, arguments)
    text = result.content[0].text
    if result.is_error:
        return f"refused: {text}"
    return json.loads(text)


async def main(words):
    async with Client(server(words)) as client:
        tools = (await client.list_tools()).tools
        print("tools:", " ".join(tool.name for tool in tools))
        schema = await ask(client, "schema")
        print("resources:", len(schema["resources"]), "views:", len(schema["views"]))
        resource = os.environ.get("RESOURCE", "cin7.sale")
        page = await ask(client, "search", resource=resource, limit=2)
        print("search:", [record["id"] for record in page["records"]])
        for record in page["records"][:1]:
            of = {key: record[key] for key in ("resource", "instance", "id")}
            one = await ask(client, "record", **of)
            print("record:", one["id"], "from the", one["source"], "as of", one["as_of"][:10])
            print("fresh:", await ask(client, "record", **of, fresh=True))
            print("history:", len((await ask(client, "history", **of))["versions"]))
        rows = await ask(client, "sql", sql=f"SELECT instance, count(*) FROM {resource} GROUP BY 1 ORDER BY 1")
        print("sql:", rows if isinstance(rows, str) else rows["rows"])
        print("sql:", await ask(client, "sql", sql="DELETE FROM cin7.sale"))
        note = await ask(client, "remember", text="Orders of pond-uk leave on Tuesdays", tags=["shipping"])
        found = await ask(client, "recall", query="on which day do orders leave?")
        print("recall:", note["vector"], [hit["memory"]["text"] for hit in found["hits"] if hit["kind"] == "memory"][:1])
        feed = await ask(client, "changes", limit=1, wait="20s")
        print("changes:", [change["op"] for change in feed["changes"]])
        print("status:", len((await ask(client, "status"))["instances"]), "instances")


asyncio.run(main(sys.argv[1:]))
