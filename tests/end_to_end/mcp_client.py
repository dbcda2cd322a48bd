"""A client of `convex mcp start`: JSON-RPC, one message a line, over the command's pipes.

The command wants an account of Convex's cloud even for self-hosted deployments, which it then
talks to alone: a server of two answers stands for the cloud.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread, Timer
from typing import TYPE_CHECKING, Any

from tests.end_to_end.fenchel_server import NODE, clean_environment, end_group

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import ConvexApp

_ANSWER_SECONDS_MAX = 180.0


class McpClient:
    """`selector` names the deployment once `status` was asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._requests, self._answers = process, process.stdin, process.stdout
        self._last_id = 0
        self.selector = ""

    def call(self, method: str, **params: Any) -> Any:
        """The result of one request; the time limit of an answer ends the command."""
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        deadline = Timer(_ANSWER_SECONDS_MAX, self._process.kill)
        deadline.start()
        try:
            for line in self._answers:
                answer = json.loads(line)
                if answer.get("id") == self._last_id:
                    assert "error" not in answer, answer
                    return answer["result"]
        finally:
            deadline.cancel()
        raise AssertionError(f"no answer to {method} {params}")

    def connect(self, project: str) -> None:
        """The handshake, and the deployment of the project."""
        client = {"name": "test", "version": "1"}
        version = "2025-06-18"
        self.call("initialize", protocolVersion=version, capabilities={}, clientInfo=client)
        self._send({"method": "notifications/initialized"})
        (deployment,) = self.tool("status", projectDir=project)["availableDeployments"]
        self.selector = deployment["deploymentSelector"]

    def tool(self, name: str, /, **arguments: Any) -> Any:
        """What the tool gives for the deployment. Raises: AssertionError with the tool's error."""
        is_error, result = self._call_tool(name, arguments)
        assert not is_error, result
        return result

    def refused(self, name: str, /, **arguments: Any) -> str:
        """The error of a tool that must fail."""
        is_error, result = self._call_tool(name, arguments)
        assert is_error, result
        return str(result["error"])

    def _call_tool(self, name: str, arguments: dict[str, Any]) -> tuple[bool, Any]:
        selected = {"deploymentSelector": self.selector} | arguments
        result = self.call("tools/call", name=name, arguments=selected)
        (content,) = result["content"]
        return result.get("isError", False), json.loads(content["text"])

    def _send(self, message: dict[str, Any]) -> None:
        self._requests.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._requests.flush()


class _Account(BaseHTTPRequestHandler):
    """Everybody is logged in and has agreed to everything."""

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(b'{"optInsToAccept": []}')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: tests read what they assert."""


@contextmanager
def _account() -> Iterator[dict[str, str]]:
    """The environment that names the account's server, on the loopback interface."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Account)
    thread = Thread(target=server.serve_forever, name="account", daemon=True)
    thread.start()
    try:
        yield {
            "CONVEX_PROVISION_HOST": f"http://127.0.0.1:{server.server_port}",
            "CONVEX_OVERRIDE_ACCESS_TOKEN": "token",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def mcp_client(app: ConvexApp) -> Iterator[McpClient]:
    """The command in the app's folder, connected; it ends with the block."""
    with _account() as account:
        environment = account | {
            "CI": "1",
            "CONVEX_SELF_HOSTED_URL": app.url,
            "CONVEX_SELF_HOSTED_ADMIN_KEY": app.admin_key,
        }
        yield from _connected(app, environment)


def _connected(app: ConvexApp, environment: dict[str, str]) -> Iterator[McpClient]:
    process = subprocess.Popen(
        [NODE, app.folder / "node_modules/convex/bin/main.js", "mcp", "start"],
        cwd=app.folder,
        env=clean_environment() | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        client = McpClient(process)
        client.connect(str(app.folder))
        yield client
    finally:
        process.kill()
        end_group(process)
