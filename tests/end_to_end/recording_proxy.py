"""A proxy before a server that writes down what official clients and the server say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

# Of the server for what the tests cut (client-protocol.md 3.15).
CUT_CODE = 1011
CUT_REASON = b"InternalServerError"


class RecordingProxy:
    """`entries` are those of transcript.py, in the order in which they passed."""

    def __init__(self, server_url: str, session: aiohttp.ClientSession) -> None:
        self.entries: list[dict[str, Any]] = []
        self._server_url = server_url
        self._session = session
        self._sockets: list[web.WebSocketResponse] = []

    async def cut(self) -> None:
        """Ends the connection as a server that is in trouble."""
        await self._sockets[-1].close(code=CUT_CODE, message=CUT_REASON)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._relay_socket(request)
        return await self._relay_request(request)

    async def _relay_request(self, request: web.Request) -> web.Response:
        body = await request.read()
        url = f"{self._server_url}{request.path_qs}"
        headers = _kept(request)
        async with self._session.request(
            request.method, url, data=body, headers=headers
        ) as response:
            answer = await response.read()
        self.entries.append(
            {
                "request": {
                    "method": request.method,
                    "path": request.path_qs,
                    "headers": headers,
                    "body": json.loads(body),
                },
                "response": {"status": response.status, "body": json.loads(answer)},
            }
        )
        return web.Response(status=response.status, body=answer, content_type="application/json")

    async def _relay_socket(self, request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse()
        await client.prepare(request)
        self._sockets.append(client)
        self.entries.append({"open": request.path, "headers": _kept(request)})
        url = f"{self._server_url}{request.path_qs}"
        async with self._session.ws_connect(url, headers=_kept(request)) as server:
            relays = [
                asyncio.create_task(self._relay(client, server, "client")),
                asyncio.create_task(self._relay(server, client, "server")),
            ]
            await asyncio.wait(relays, return_when=asyncio.FIRST_COMPLETED)
            self.entries.append({"close": client.close_code})
            for task in relays:
                task.cancel()
            await asyncio.gather(*relays, return_exceptions=True)
        return client

    async def _relay(self, source: Any, target: Any, sender: str) -> None:
        async for message in source:
            self.entries.append({sender: json.loads(message.data)})
            await target.send_str(message.data)


def _kept(request: web.Request) -> dict[str, str]:
    """The headers that say who the client is."""
    names = ("Convex-Client", "Content-Type", "Authorization")
    return {name: request.headers[name] for name in names if name in request.headers}


@asynccontextmanager
async def recording_proxy(server_url: str) -> AsyncIterator[tuple[RecordingProxy, str]]:
    """The proxy and its address."""
    async with aiohttp.ClientSession() as session:
        proxy = RecordingProxy(server_url, session)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", proxy.handle)
        async with TestServer(application) as listener:
            yield proxy, str(listener.make_url("")).rstrip("/")
