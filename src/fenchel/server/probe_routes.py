"""Who is there: liveness, names, echo and the check of an admin key (deploy-protocol 1.9)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fenchel import __version__
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response, text_response
from fenchel.server.routing import Routes

ECHO_BYTES_MAX = 128 << 20

_READ_OPERATIONS = (
    "ViewEnvironmentVariables",
    "ViewLogs",
    "ViewMetrics",
    "ViewData",
    "RunInternalQueries",
)
_WRITE_OPERATIONS = (
    "Deploy",
    "WriteEnvironmentVariables",
    "ActAsUser",
    "RunInternalMutations",
    "RunInternalActions",
)


class AdminKeyCheck(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    success: bool
    allowed_ops: tuple[str, ...]
    is_read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeHandlers:
    instance_name: str
    authenticator: RequestAuthenticator

    @property
    def routes(self) -> Routes:
        return Routes(
            exact={
                ("GET", "/"): self.show_banner,
                ("GET", "/version"): self.show_version,
                ("GET", "/instance_version"): self.show_version,
                ("GET", "/instance_name"): self.show_instance_name,
                ("POST", "/echo"): self.echo,
                ("GET", "/api/check_admin_key"): self.check_admin_key,
            }
        )

    async def show_banner(self, _request: Request) -> Response:
        return text_response("This Convex deployment is running (Fenchel).")

    async def show_version(self, _request: Request) -> Response:
        return text_response(__version__)

    async def show_instance_name(self, _request: Request) -> Response:
        return text_response(self.instance_name)

    async def echo(self, request: Request) -> Response:
        body = await request.read_body(ECHO_BYTES_MAX, code="BodyTooLarge")
        content_type = request.headers.get("content-type", "application/octet-stream")
        return Response(body=body, content_type=content_type)

    async def check_admin_key(self, request: Request) -> Response:
        """What the key allows, as far as this server offers it."""
        admin = await self.authenticator.require_admin(request)
        operations = (
            _READ_OPERATIONS if admin.is_read_only else _READ_OPERATIONS + _WRITE_OPERATIONS
        )
        return json_response(
            AdminKeyCheck(success=True, allowed_ops=operations, is_read_only=admin.is_read_only)
        )
