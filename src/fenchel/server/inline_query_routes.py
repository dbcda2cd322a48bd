"""Queries whose source comes with the request: `convex run --inline-query` and the MCP tool
(deploy-protocol 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fenchel.application import Application, FunctionCall, FunctionCaller
from fenchel.definitions import decode_module_path
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.client_version import decode_client_version
from fenchel.server.function_results import decode_format, result_body
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes


class InlineModule(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    source: str


class InlineQueryBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    bundle: InlineModule
    args: msgspec.Raw = msgspec.Raw(b"{}")
    format: str | None = None
    admin_key: str | None = None
    component_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineQueryHandlers:
    """For admins; it only reads, so a read-only key is enough."""

    application: Application
    authenticator: RequestAuthenticator
    body_bytes_max: int

    @property
    def routes(self) -> Routes:
        return Routes(exact={("POST", "/api/run_test_function"): self.run})

    async def run(self, request: Request) -> Response:
        """The answer has the form of a function's; a failing query is a 200 as well."""
        body = await request.read_json(InlineQueryBody, bytes_max=self.body_bytes_max)
        admin = await self.authenticator.require_admin(request, body.admin_key)
        client = decode_client_version(request.headers.get("convex-client"))
        value_format = decode_format(body.format, client)
        component = ""
        if body.component_id is not None:
            component = await self.application.inline_queries.find_component(body.component_id)
        call = FunctionCall(
            path=decode_module_path(body.bundle.path),
            component=component,
            args_json=bytes(body.args).decode(),
            identity=admin,
            caller=FunctionCaller.TESTER,
            request_id=request.request_id,
            client_ip=request.client_ip,
            user_agent=request.headers.get("user-agent"),
        )
        run = await self.application.run_inline_query(call, body.bundle.source)
        return json_response(result_body(run.result, value_format), function=body.bundle.path)
