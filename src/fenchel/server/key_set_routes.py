"""The public key of the tokens that functions issue (execution 2.8)."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.auth import TokenSigner
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySetHandlers:
    """Everybody may verify a token."""

    token_signer: TokenSigner

    @property
    def routes(self) -> Routes:
        return Routes(exact={("GET", "/.well-known/jwks.json"): self.show_keys})

    async def show_keys(self, _request: Request) -> Response:
        return json_response(self.token_signer.key_set())
