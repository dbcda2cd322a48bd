"""Changing environment variables (deploy-protocol 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fenchel.application import EnvironmentChange, EnvironmentService
from fenchel.server.authentication import RequestAuthenticator, require_writer
from fenchel.server.request import Request
from fenchel.server.response import Response
from fenchel.server.routing import Routes


class ChangesBody(msgspec.Struct, frozen=True, kw_only=True):
    changes: tuple[EnvironmentChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentHandlers:
    environment: EnvironmentService
    authenticator: RequestAuthenticator
    body_bytes_max: int

    @property
    def routes(self) -> Routes:
        return Routes(exact={("POST", "/api/update_environment_variables"): self.update})

    async def update(self, request: Request) -> Response:
        """All changes or none; an empty 200."""
        require_writer(await self.authenticator.require_admin(request))
        body = await request.read_json(ChangesBody, bytes_max=self.body_bytes_max)
        await self.environment.update(body.changes)
        return Response()
