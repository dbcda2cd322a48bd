"""JSON Web Tokens and key sets: reading, and checking signatures. No I/O, no claims rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

# A key of another kind must never meet an algorithm: that is the classic confusion attack.
_KEY_TYPES = {"RS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
_KEYS_MAX = 64
_HEADER_BYTES_MAX = 8_192


class BadTokenError(Exception):
    """The token or the key set cannot be accepted; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """A well-formed token that nobody has checked. `issuer` is the `iss` claim."""

    text: str
    algorithm: str
    key_id: str | None
    issuer: str
    claims: dict[str, Any]

    @property
    def audiences(self) -> tuple[str, ...]:
        """`aud` as a tuple; what is no string is left out."""
        audience = self.claims.get("aud")
        items = audience if isinstance(audience, list) else [audience]
        return tuple(item for item in items if isinstance(item, str))


class _Registry(JWSRegistry):
    """Exactly the given algorithms, headers of any name and longer than by default."""

    max_header_length = _HEADER_BYTES_MAX

    def __init__(self, algorithms: Collection[str]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        # The library warns about the name "EdDSA", which providers use.
        if self.allowed is None or name not in self.allowed:
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


def decode_token(text: str) -> UnverifiedToken:
    """Raises: BadTokenError if it is no JWT or has no `iss`."""
    try:
        signature = jws.extract_compact(text.encode("ascii"), registry=_Registry(()))
        claims = msgspec.json.decode(signature.payload)
    except (JoseError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadTokenError("not a valid JSON Web Token") from error
    header = signature.headers()
    if not isinstance(header, dict):
        raise BadTokenError("its header is malformed")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(key_id, str | None):
        raise BadTokenError("its header is malformed")
    if not isinstance(claims, dict) or not isinstance(claims.get("iss"), str):
        raise BadTokenError("it has no issuer")
    return UnverifiedToken(
        text=text, algorithm=algorithm, key_id=key_id, issuer=claims["iss"], claims=claims
    )


def decode_key_set(body: bytes) -> list[dict[str, Any]]:
    """The keys of a JWKS document, as parsed. Raises: BadTokenError."""
    try:
        parsed = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadTokenError("the key set is not JSON") from error
    keys = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(keys, list) or len(keys) > _KEYS_MAX:
        raise BadTokenError("the key set has no list of keys")
    return [key for key in keys if isinstance(key, dict)]


def find_keys(
    keys: Sequence[dict[str, Any]], token: UnverifiedToken, *, needs_key_id: bool
) -> list[dict[str, Any]]:
    """Keys that may have signed the token: right kind, meant for signatures, and its key id."""
    return [
        key
        for key in keys
        if (key.get("kty"), key.get("crv")) == _KEY_TYPES[token.algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", token.algorithm) == token.algorithm
        and _has_key_id(key, token.key_id, needs_key_id=needs_key_id)
    ]


def check_signature(token: UnverifiedToken, keys: Sequence[dict[str, Any]]) -> None:
    """Raises: BadTokenError unless one of `keys` (from `find_keys`) signed the token."""
    for parsed in keys:
        try:
            key = _import_key(parsed)
            jws.deserialize_compact(token.text, key, registry=_Registry([token.algorithm]))
        except (JoseError, ValueError, TypeError, KeyError):
            # Also a malformed key: another one may still fit.
            continue
        return
    raise BadTokenError("its signature is not valid")


def _has_key_id(key: dict[str, Any], key_id: str | None, *, needs_key_id: bool) -> bool:
    if needs_key_id:
        return key_id is not None and key.get("kid") == key_id
    return key_id is None or key.get("kid") in (key_id, None)


def _import_key(parsed: dict[str, Any]) -> RSAKey | ECKey | OKPKey:
    key = JWKRegistry.import_key(parsed)
    assert isinstance(key, RSAKey | ECKey | OKPKey), "find_keys lets only these pass"
    return key
