"""Tokens that functions issue for the outside world: `ctx.auth.signJwt` (execution 2.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from fenchel.errors import bad_request

SECONDS_MAX = 3_600
_RESERVED_CLAIMS = frozenset({"iss", "iat", "exp", "nbf"})
_RESERVED_PREFIXES = ("convex", "cvx")
# The order of the group of P-256 (NIST SP 800-186, 3.2.1.3).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# So many more bits than the order has that the remainder is as good as evenly distributed.
_SEED_BYTES = 48


class TokenSigner:
    """Signs with one ES256 key, which follows from the instance secret: it outlives restarts."""

    def __init__(self, secret: bytes, *, issuer: str) -> None:
        """`issuer` is the URL under which the app's clients reach the deployment."""
        seed = HKDF(
            algorithm=SHA256(), length=_SEED_BYTES, salt=None, info=b"fenchel token signing"
        ).derive(secret)
        number = int.from_bytes(seed, "big") % (_ORDER - 1) + 1
        private = derive_private_key(number, SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._key = ECKey.import_key(pem)
        self._key.ensure_kid()
        self._issuer = issuer

    def key_set(self) -> dict[str, Any]:
        """The public key, as `/.well-known/jwks.json` shows it."""
        public = {**self._key.as_dict(private=False), "use": "sig", "alg": "ES256"}
        return {"keys": [public]}

    def sign(
        self, claims: Mapping[str, Any], *, component: str, issued_seconds: int, seconds: float
    ) -> str:
        """A token with these claims, from the app or from a component (its path).

        Raises: InvalidArgument for reserved claims and for times out of 1 second to 1 hour.
        """
        if not 1 <= seconds <= SECONDS_MAX:
            raise _invalid(f"expiresInSeconds must be from 1 to {SECONDS_MAX}, not {seconds}.")
        for name in claims:
            if name in _RESERVED_CLAIMS or name.lower().startswith(_RESERVED_PREFIXES):
                raise _invalid(f'The claim "{name}" is reserved. Choose another name.')
        issuer = f"{self._issuer}/components/{component}" if component else self._issuer
        header = {"alg": "ES256", "typ": "JWT", "kid": self._key.kid}
        issued = {"iss": issuer, "iat": issued_seconds, "exp": issued_seconds + int(seconds)}
        return jwt.encode(header, {**claims, **issued}, self._key)


def _invalid(reason: str) -> Exception:
    return bad_request("InvalidArgument", f"Invalid arguments for `signJwt`: {reason}")
