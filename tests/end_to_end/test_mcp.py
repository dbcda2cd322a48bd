"""Every tool of `convex mcp start` (npm `convex`, unmodified), as an editor asks for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.mcp_client import McpClient, mcp_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.fenchel_server import ConvexApp

TOOLS = {
    *("status", "data", "tables", "functionSpec", "run", "logs", "insights", "runOneoffQuery"),
    *("envList", "envGet", "envSet", "envRemove"),
}


@pytest.fixture(scope="module")
def mcp(app: ConvexApp) -> Iterator[McpClient]:
    with mcp_client(app) as client:
        yield client


def test_all_tools_are_offered(mcp: McpClient) -> None:
    assert {tool["name"] for tool in mcp.call("tools/list")["tools"]} == TOOLS


def test_functions_run_and_their_documents_are_read_page_by_page(mcp: McpClient) -> None:
    for body in ("one", "two"):
        args = json.dumps({"topic": "mcp", "body": body})
        assert mcp.tool("run", functionName="notes:add", args=args)["result"]
    page = mcp.tool("data", tableName="notes", order="desc", limit=1)
    assert [row["body"] for row in page["page"]] == ["two"]
    assert not page["isDone"]
    more = mcp.tool("data", tableName="notes", order="desc", cursor=page["continueCursor"])
    assert more["page"][0]["body"] == "one"


def test_internal_functions_and_mistakes(mcp: McpClient) -> None:
    ran = mcp.tool("run", functionName="probe:hidden", args="{}")
    assert ran["result"] == "only for insiders"
    assert "developer made a mistake" in mcp.refused("run", functionName="probe:fail", args="{}")
    assert "Could not find" in mcp.refused("run", functionName="probe:nothing", args="{}")


def test_tables_come_with_their_schema_and_what_is_in_them(mcp: McpClient) -> None:
    mcp.tool("run", functionName="notes:add", args='{"topic": "shapes", "body": "b"}')
    notes = mcp.tool("tables")["tables"]["notes"]
    assert notes["schema"]["indexes"][0]["indexDescriptor"] == "by_topic"
    fields = {field["fieldName"]: field["shape"] for field in notes["inferredSchema"]["fields"]}
    assert fields["_id"] == {"type": "Id", "tableName": "notes"}
    assert fields["body"] == {"type": "String"}


def test_the_function_spec(mcp: McpClient) -> None:
    named = {found.get("identifier") for found in mcp.tool("functionSpec")}
    assert {"notes.js:add", "probe.js:hidden"} <= named


def test_environment_variables(mcp: McpClient) -> None:
    assert mcp.tool("envSet", name="FROM_MCP", value="set") == {"success": True}
    assert mcp.tool("envGet", name="FROM_MCP") == {"value": "set"}
    assert {"name": "FROM_MCP"} in mcp.tool("envList")["variables"]
    with_values = mcp.tool("envList", includeValues=True)["variables"]
    assert {"name": "FROM_MCP", "value": "set"} in with_values
    assert mcp.tool("envRemove", name="FROM_MCP") == {"success": True}
    assert mcp.tool("envGet", name="FROM_MCP") == {"value": None}
    assert "invalid" in mcp.refused("envSet", name="not a name", value="x").lower()


def test_a_one_off_query(mcp: McpClient) -> None:
    def handle(body: str) -> str:
        wrappers = 'import { query } from "convex:/_system/repl/wrappers.js"; '
        return f"{wrappers}export default query({{ handler: async (ctx) => {body} }});"

    ran = mcp.tool("runOneoffQuery", query=handle('(console.log("seen"), ctx.db !== undefined)'))
    assert ran["result"] is True
    assert "seen" in ran["logLines"][0]
    refused = mcp.refused("runOneoffQuery", query=handle('ctx.db.insert("notes", {})'))
    assert "insert is not a function" in refused


def test_logs_of_what_failed(mcp: McpClient) -> None:
    mcp.refused("run", functionName="probe:fail", args="{}")
    logs = mcp.tool("logs", status="failure", jsonl=True)
    entries = [json.loads(line) for line in logs["entries"].splitlines()]
    assert "probe:fail" in {entry["identifier"] for entry in entries}
    assert all(entry["error"] for entry in entries)
    assert logs["newCursor"] > 0
    assert "Q(probe:fail)" in mcp.tool("logs")["entries"]


def test_insights_are_only_for_the_cloud(mcp: McpClient) -> None:
    assert "Insights are only available for cloud deployments" in mcp.refused("insights")
