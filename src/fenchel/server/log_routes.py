"""The stream of executions that `convex logs` and `convex dev` read (deploy-protocol 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application import FunctionLog
from fenchel.errors import bad_request
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.client_version import decode_client_version
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes
from fenchel.server.shutdown import Shutdown


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHandlers:
    function_log: FunctionLog
    authenticator: RequestAuthenticator
    shutdown: Shutdown

    @property
    def routes(self) -> Routes:
        return Routes(exact={("GET", "/api/stream_function_logs"): self.stream})

    async def stream(self, request: Request) -> Response:
        """Everything newer than `cursor` (milliseconds); waits for the first entry."""
        await self.authenticator.require_admin(request)
        client = decode_client_version(request.headers.get("convex-client"))
        is_structured = client is not None and client.is_structured_log_reader
        cursor_ms = _decode_cursor(request.query.get("cursor", "0"))
        page = self.function_log.stream(cursor_ms, is_structured=is_structured)
        return json_response(await self.shutdown.wait_unless_begun(page))


def _decode_cursor(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise bad_request("BadQueryArgs", f"The cursor {text!r} is not a number.") from error
