"""An identity provider on the loopback interface, and tokens that it or an attacker signs."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from fenchel.runtime.clock import SystemClock

NOW_SECONDS = 1_800_000_000
NOW_NS = NOW_SECONDS * 1_000_000_000

RSA_KEY = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "ec"})
ED_KEY = OKPKey.generate_key("Ed25519", {"kid": "ed"})
OTHER_RSA_KEY = RSAKey.generate_key(2048, {"kid": "rsa"})


class _AnyAlgorithm(JWSRegistry):
    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


def public(*keys: RSAKey | ECKey | OKPKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def sign(
    claims: dict[str, Any],
    key: RSAKey | ECKey | OKPKey | OctKey = RSA_KEY,
    *,
    algorithm: str = "RS256",
    key_id: str | None = "rsa",
    header: dict[str, Any] | None = None,
) -> str:
    fields = {"alg": algorithm, "typ": "JWT"} | ({"kid": key_id} if key_id else {}) | (header or {})
    registry = _AnyAlgorithm(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact(fields, json.dumps(claims).encode(), key, registry=registry)


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join((*encoded, ""))


def data_url(keys: dict[str, Any]) -> str:
    return "data:application/json;base64," + base64.b64encode(json.dumps(keys).encode()).decode()


class ManualClock(SystemClock):
    """Monotonic time that moves when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Provider:
    """Serves discovery and a key set, lists the requests; `answers` may be changed."""

    server: TestServer
    issuer: str = ""
    answers: dict[str, web.Response] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    @classmethod
    async def start(cls) -> Provider:
        application = web.Application()
        provider = cls(TestServer(application))
        application.router.add_get("/{path:.*}", provider._answer)
        await provider.server.start_server()
        provider.issuer = str(provider.server.make_url("")).rstrip("/")
        provider.set_discovery()
        provider.set_keys(public(RSA_KEY, ED_KEY, EC_KEY))
        return provider

    @property
    def key_set_url(self) -> str:
        return f"{self.issuer}/keys"

    def set_discovery(self, **changes: Any) -> None:
        document = {"issuer": self.issuer, "jwks_uri": self.key_set_url, **changes}
        self.set_answer("/.well-known/openid-configuration", json.dumps(document))

    def set_keys(self, keys: Any, **headers: str) -> None:
        self.set_answer("/keys", json.dumps(keys), 200, **headers)

    def set_answer(self, path: str, body: str, status: int = 200, **headers: str) -> None:
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.answers[path] = web.Response(status=status, body=body.encode(), headers=given)

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        answer = self.answers[request.path]
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
