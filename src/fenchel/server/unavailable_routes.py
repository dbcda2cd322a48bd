"""What the official CLI can ask for and this server does not offer yet. The CLI asks again and
again when a path is not found; a 400 with the reason ends it at once (deploy-protocol 1.7).
"""

from __future__ import annotations

from fenchel.errors import bad_request
from fenchel.server.request import Request
from fenchel.server.response import Response
from fenchel.server.routing import Handler, Routes


def unavailable_routes() -> Routes:
    inline_query = _refuse(
        "Inline queries are not available on this server. Deploy the query as a function and run "
        "that."
    )
    return Routes(exact={("POST", "/api/run_test_function"): inline_query})


def _refuse(message: str) -> Handler:
    async def refuse(_request: Request) -> Response:
        raise bad_request("FeatureNotAvailable", message)

    return refuse
