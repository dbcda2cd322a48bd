"""What documents look like, which `convex mcp` shows beside the schema (deploy-protocol 3.11)."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application import Application
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeHandlers:
    application: Application
    authenticator: RequestAuthenticator

    @property
    def routes(self) -> Routes:
        return Routes(exact={("GET", "/api/shapes2"): self.infer})

    async def infer(self, request: Request) -> Response:
        """Shapes by table, of the app or of the component with the id `component`."""
        await self.authenticator.require_admin(request)
        component = ""
        if component_id := request.query.get("component"):
            component = await self.application.inline_queries.find_component(component_id)
        return json_response(await self.application.table_shapes.infer(component))
