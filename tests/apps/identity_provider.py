"""An identity provider of the matrix: discovery and keys over HTTP, tokens that it signs."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

_KEY = RSAKey.generate_key(2048, {"kid": "key", "use": "sig", "alg": "RS256"})
_ISSUED_SECONDS = 1_700_000_000
# Past every time to which a case moves the clock.
_EXPIRES_SECONDS = 4_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    issuer: str

    @property
    def places(self) -> dict[str, str]:
        """What `{{…}}` in an `expected.json` stands for."""
        encoded = base64.b64encode(_keys()).decode()
        return {"oidc": self.issuer, "jwks": f"data:application/json;base64,{encoded}"}

    def sign(self, claims: dict[str, Any]) -> str:
        times = {"iat": _ISSUED_SECONDS, "exp": _EXPIRES_SECONDS}
        return jwt.encode({"alg": "RS256", "kid": "key", "typ": "JWT"}, times | claims, _KEY)


def _keys() -> bytes:
    return json.dumps({"keys": [_KEY.as_dict(private=False)]}).encode()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        documents = {
            "/.well-known/openid-configuration": json.dumps(
                {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
            ).encode(),
            "/keys": _keys(),
        }
        body = documents.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Nothing: tests read what they assert."""


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """On a free port of the loopback interface until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, name="identity provider", daemon=True)
    thread.start()
    try:
        yield IdentityProvider(issuer=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
