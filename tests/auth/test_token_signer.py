"""Tokens that functions issue: `ctx.auth.signJwt` (execution 2.8)."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fenchel.auth import KeyBroker, TokenSigner
from fenchel.errors import FenchelError

ISSUER = "http://127.0.0.1:3210"


def signer(secret: bytes = bytes(32)) -> TokenSigner:
    return KeyBroker("test-instance", secret).token_signer(issuer=ISSUER)


def sign(claims: dict[str, Any], *, component: str = "", seconds: float = 60) -> str:
    return signer().sign(claims, component=component, issued_seconds=1_000, seconds=seconds)


def verify(token: str, keys: TokenSigner) -> dict[str, Any]:
    """The claims, by the public keys alone."""
    return jwt.decode(token, KeySet.import_key_set(keys.key_set()), algorithms=["ES256"]).claims  # type: ignore[arg-type]


def test_everybody_can_verify_a_token_across_restarts() -> None:
    claims = {"sub": "user", "deep": {"list": [1, None]}}
    assert verify(sign(claims), signer()) == {**claims, "iss": ISSUER, "iat": 1_000, "exp": 1_060}


def test_the_issuer_names_the_component() -> None:
    claims = verify(sign({}, component="a/b"), signer())
    assert claims["iss"] == f"{ISSUER}/components/a/b"


def test_another_deployment_has_another_key() -> None:
    other = signer(bytes(range(32)))
    assert other.key_set() != signer().key_set()
    with pytest.raises(JoseError):
        verify(sign({}), other)


def test_the_private_key_is_not_shown() -> None:
    (key,) = signer().key_set()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


@pytest.mark.parametrize("name", ["iss", "iat", "exp", "nbf", "convex", "CVX_role", "ConvexOrg"])
def test_reserved_claims_are_refused(name: str) -> None:
    with pytest.raises(FenchelError, match="reserved"):
        sign({name: "x"})


@pytest.mark.parametrize("seconds", [0, 0.5, 3_601, float("nan")])
def test_tokens_last_from_a_second_to_an_hour(seconds: float) -> None:
    with pytest.raises(FenchelError, match="expiresInSeconds"):
        sign({}, seconds=seconds)
