"""What is said where HTTP actions would answer: on the site port and below `/http` (client-protocol
2.8).
"""

from __future__ import annotations

from fenchel.server.request import Receive, Request, Scope, Send
from fenchel.server.response import Response, text_response
from fenchel.server.routing import Routes

_NO_HTTP_ACTIONS = "This Convex deployment does not have HTTP actions enabled."
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")


async def refuse_http_action(_request: Request) -> Response:
    return text_response(_NO_HTTP_ACTIONS, status=404)


HTTP_ACTION_ROUTES = Routes(
    exact={(method, "/http"): refuse_http_action for method in _METHODS},
    prefixes={(method, "/http/"): refuse_http_action for method in _METHODS},
)


async def site_application(scope: Scope, _receive: Receive, send: Send) -> None:
    """The ASGI application of the site port."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    assert scope["type"] == "http"
    body = _NO_HTTP_ACTIONS.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
