"""The site port: the API's `/http`, at the root (client-protocol 2.8)."""

from __future__ import annotations

from fenchel.server.app import ApiApplication
from fenchel.server.http_actions import PREFIX
from fenchel.server.request import Receive, Scope, Send


class SiteApplication:
    """The ASGI application of the site port."""

    def __init__(self, api: ApiApplication) -> None:
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        scope["path"] = PREFIX + scope["path"]
        scope["raw_path"] = PREFIX.encode() + scope["raw_path"]
        await self._api(scope, receive, send)
