"""What the official CLI asks during a push (deploy-protocol, section 2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from fenchel.application import (
    DeployService,
    FinishPushRequest,
    StartPushRequest,
    WaitForSchemaRequest,
)
from fenchel.server.authentication import RequestAuthenticator, require_writer
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes
from fenchel.server.shutdown import Shutdown


class AdminKeyBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    admin_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployHandlers:
    """Every endpoint needs an admin; the key is in the body, or in the header."""

    deploy: DeployService
    authenticator: RequestAuthenticator
    shutdown: Shutdown
    body_bytes_max: int

    @property
    def routes(self) -> Routes:
        return Routes(
            exact={
                ("POST", "/api/get_config_hashes"): self.get_config_hashes,
                ("POST", "/api/deploy2/start_push"): self.start_push,
                ("POST", "/api/deploy2/evaluate_push"): self.evaluate_push,
                ("POST", "/api/deploy2/evaluate_schema"): self.evaluate_schema,
                ("POST", "/api/deploy2/wait_for_schema"): self.wait_for_schema,
                ("POST", "/api/deploy2/finish_push"): self.finish_push,
                ("POST", "/api/deploy2/report_push_completed"): self.report_push_completed,
                ("GET", "/api/v1/get_canonical_urls"): self.get_canonical_urls,
            }
        )

    async def get_config_hashes(self, request: Request) -> Response:
        await self._read(request, AdminKeyBody)
        return json_response(await self.deploy.config_hashes())

    async def start_push(self, request: Request) -> Response:
        return await self._serve(request, StartPushRequest, self.deploy.start_push)

    async def evaluate_push(self, request: Request) -> Response:
        return await self._serve(request, StartPushRequest, self.deploy.evaluate_push)

    async def evaluate_schema(self, request: Request) -> Response:
        return await self._serve(request, StartPushRequest, self.deploy.evaluate_schema)

    async def wait_for_schema(self, request: Request) -> Response:
        """A long poll (2.9)."""
        body = await self._read(request, WaitForSchemaRequest)
        status = self.deploy.wait_for_schema(body)
        return json_response(await self.shutdown.wait_unless_begun(status))

    async def finish_push(self, request: Request) -> Response:
        return await self._serve(request, FinishPushRequest, self.deploy.finish_push)

    async def report_push_completed(self, request: Request) -> Response:
        """Telemetry of the CLI; nothing is kept (2.11)."""
        await self._read(request, AdminKeyBody)
        return json_response(None)

    async def get_canonical_urls(self, request: Request) -> Response:
        await self.authenticator.require_admin(request)
        return json_response(self.deploy.canonical_urls())

    async def _serve(
        self,
        request: Request,
        body_type: type[Any],
        serve: Callable[[Any], Awaitable[Any]],
    ) -> Response:
        return json_response(await serve(await self._read(request, body_type)))

    async def _read(self, request: Request, body_type: type[Any]) -> Any:
        """The body of a caller who may deploy."""
        body = await request.read_json(body_type, bytes_max=self.body_bytes_max)
        require_writer(await self.authenticator.require_admin(request, body.admin_key))
        return body
