"""Tokens of end users: which provider issued it, is it genuine, who is it (client-protocol
specification 4.2-4.5).

Everything before the signature check works on claims that nobody has verified; they only choose the
provider.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, assert_never
from urllib.parse import unquote_to_bytes

import msgspec

from fenchel.auth.claims import custom_attributes, oidc_attributes
from fenchel.auth.http_documents import FetchFailedError, HttpDocument, HttpDocuments
from fenchel.auth.identity import UserIdentity
from fenchel.auth.json_web_token import (
    BadTokenError,
    UnverifiedToken,
    check_signature,
    decode_key_set,
    decode_token,
    find_keys,
)
from fenchel.definitions import AuthProvider, CustomJwtProvider, OidcProvider
from fenchel.errors import ErrorKind, FenchelError

_OIDC_ALGORITHMS = ("RS256", "EdDSA")
_CUSTOM_LEEWAY_SECONDS = 5
_NS_PER_SECOND = 1_000_000_000
_KEY_SET_TYPES = ("application/json", "application/jwk-set+json")
_STATUS_KINDS = {
    401: ErrorKind.UNAUTHENTICATED,
    403: ErrorKind.FORBIDDEN,
    404: ErrorKind.NOT_FOUND,
    409: ErrorKind.CONFLICT,
    429: ErrorKind.RATE_LIMITED,
}

LoadProviders = Callable[[], Awaitable[Sequence[AuthProvider]]]


class _DiscoveryJson(msgspec.Struct):
    issuer: str
    jwks_uri: str


class TokenVerifier:
    """`load_providers` gives the deployed providers, in the order of the auth config."""

    def __init__(self, *, load_providers: LoadProviders, documents: HttpDocuments) -> None:
        self._load_providers = load_providers
        self._documents = documents

    async def verify(self, text: str, now_ns: int) -> UserIdentity:
        """The user whom a token proves at wall time `now_ns`.

        Raises: InvalidAuthHeader, NoAuthProvider, Unauthenticated (401);
        AuthProviderDiscoveryFailed, whose kind says whether a retry helps.
        """
        try:
            token = decode_token(text)
        except BadTokenError as error:
            _refuse("InvalidAuthHeader", "Could not parse the token", error)
        provider = _find_provider(token, await self._load_providers())
        match provider:
            case OidcProvider():
                return await self._verify_oidc(token, provider, now_ns)
            case CustomJwtProvider():
                return await self._verify_custom(token, provider, now_ns)
            case _:
                assert_never(provider)

    async def _verify_oidc(
        self, token: UnverifiedToken, provider: OidcProvider, now_ns: int
    ) -> UserIdentity:
        try:
            if token.algorithm not in _OIDC_ALGORITHMS:
                raise BadTokenError(f"its algorithm {token.algorithm!r} is not RS256 or EdDSA")
            _check_required(token, ("sub", "aud", "exp", "iat"))
            if token.audiences != (provider.application_id,):
                raise BadTokenError("its audience must be the application id alone")
            expires_ns = _check_expiry(token, now_ns, leeway_seconds=0)
            key_set_url = await self._discover(token.issuer)
            keys = await self._find_keys(token, provider, key_set_url)
            check_signature(token, keys)
        except FetchFailedError as error:
            raise _discovery_error(error) from error
        except BadTokenError as error:
            _refuse("Unauthenticated", "Could not verify the OIDC token", error)
        return UserIdentity(attributes=oidc_attributes(token.claims), expires_ns=expires_ns)

    async def _verify_custom(
        self, token: UnverifiedToken, provider: CustomJwtProvider, now_ns: int
    ) -> UserIdentity:
        try:
            if token.algorithm != provider.algorithm:
                raise BadTokenError(f"its algorithm must be {provider.algorithm}")
            _check_required(token, ("sub", "exp"))
            expires_ns = _check_expiry(token, now_ns, leeway_seconds=_CUSTOM_LEEWAY_SECONDS)
            _check_not_before(token, now_ns)
            keys = await self._find_keys(token, provider, provider.jwks)
            check_signature(token, keys)
        except (BadTokenError, FetchFailedError) as error:
            _refuse("InvalidAuthHeader", "Could not verify the token", error)
        return UserIdentity(attributes=custom_attributes(token.claims), expires_ns=expires_ns)

    async def _discover(self, issuer: str) -> str:
        """The URL of the provider's key set."""
        url = f"{_with_scheme(issuer).rstrip('/')}/.well-known/openid-configuration"
        document = await self._documents.fetch(url)
        try:
            discovered = msgspec.json.decode(document.body, type=_DiscoveryJson)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise FetchFailedError(url, f"not a discovery document: {error}", status=200) from error
        if discovered.issuer != issuer:
            raise FetchFailedError(url, f"its issuer is {discovered.issuer!r}", status=200)
        return discovered.jwks_uri

    async def _find_keys(
        self, token: UnverifiedToken, provider: AuthProvider, key_set_url: str
    ) -> list[dict[str, Any]]:
        """Keys that may have signed the token; fetched anew if a cached key set has none."""
        if key_set_url.startswith("data:"):
            return _select_keys(token, provider, _decode_data_url(key_set_url))
        document = await self._documents.fetch(key_set_url)
        keys = _select_keys(token, provider, _key_set_body(document, provider))
        if not keys:
            document = await self._documents.fetch(key_set_url, stale=document)
            keys = _select_keys(token, provider, _key_set_body(document, provider))
        return keys


def _select_keys(
    token: UnverifiedToken, provider: AuthProvider, body: bytes
) -> list[dict[str, Any]]:
    needs_key_id = isinstance(provider, CustomJwtProvider)
    return find_keys(decode_key_set(body), token, needs_key_id=needs_key_id)


def _key_set_body(document: HttpDocument, provider: AuthProvider) -> bytes:
    """Custom providers must label their key set (4.4)."""
    media_type, _, parameters = document.content_type.partition(";")
    is_utf8 = "charset" not in parameters or "utf-8" in parameters
    if isinstance(provider, CustomJwtProvider) and not (
        media_type.strip() in _KEY_SET_TYPES and is_utf8
    ):
        raise BadTokenError(f"its key set has the content type {document.content_type!r}")
    return document.body


def _find_provider(token: UnverifiedToken, providers: Sequence[AuthProvider]) -> AuthProvider:
    """The first provider with this issuer and audience."""
    for provider in providers:
        issuer = provider.domain if isinstance(provider, OidcProvider) else provider.issuer
        is_audience = provider.application_id is None or provider.application_id in token.audiences
        if is_audience and _normalize_issuer(issuer) == _normalize_issuer(token.issuer):
            return provider
    raise FenchelError(
        ErrorKind.UNAUTHENTICATED,
        "NoAuthProvider",
        "No auth provider found matching the given token: check that `auth.config.ts` names the "
        f"token's issuer {token.issuer!r} and its audience, and that it is deployed.",
    )


def _normalize_issuer(issuer: str) -> str:
    return _with_scheme(issuer).rstrip("/")


def _with_scheme(issuer: str) -> str:
    return issuer if "://" in issuer else f"https://{issuer}"


def _check_required(token: UnverifiedToken, names: Sequence[str]) -> None:
    for name in names:
        if token.claims.get(name) is None:
            raise BadTokenError(f"it has no claim `{name}`")
    if not isinstance(token.claims["sub"], str):
        raise BadTokenError("its subject is not a string")


def _check_expiry(token: UnverifiedToken, now_ns: int, *, leeway_seconds: int) -> int:
    """Wall time in nanoseconds from which the token is no longer good."""
    expires_ns = _time_claim_ns(token, "exp") + leeway_seconds * _NS_PER_SECOND
    if expires_ns <= now_ns:
        raise BadTokenError("it has expired")
    return expires_ns


def _check_not_before(token: UnverifiedToken, now_ns: int) -> None:
    if token.claims.get("nbf") is None:
        return
    if _time_claim_ns(token, "nbf") > now_ns + _CUSTOM_LEEWAY_SECONDS * _NS_PER_SECOND:
        raise BadTokenError("it is not valid yet")


def _time_claim_ns(token: UnverifiedToken, name: str) -> int:
    seconds = token.claims[name]
    # The bound also refuses infinities; it is far beyond any sensible time.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or abs(seconds) > 1e15:
        raise BadTokenError(f"its claim `{name}` is not a time")
    return int(seconds * _NS_PER_SECOND)


def _decode_data_url(url: str) -> bytes:
    media_type, comma, data = url.removeprefix("data:").partition(",")
    if not comma:
        raise BadTokenError("the key set's data URI is malformed")
    decoded = unquote_to_bytes(data)
    if not media_type.endswith(";base64"):
        return decoded
    try:
        return b64decode(decoded, validate=True)
    except ValueError as error:
        raise BadTokenError("the key set's data URI is malformed") from error


def _discovery_error(error: FetchFailedError) -> FenchelError:
    """No answer and 5xx pass: a client should keep its token and try again (3.12, 4.3)."""
    if error.status is None or error.status >= 500:
        kind = ErrorKind.OVERLOADED
    else:
        kind = _STATUS_KINDS.get(error.status, ErrorKind.BAD_REQUEST)
    return FenchelError(
        kind, "AuthProviderDiscoveryFailed", f"Auth provider discovery failed: {error}"
    )


def _refuse(code: str, lead: str, error: Exception) -> NoReturn:
    raise FenchelError(ErrorKind.UNAUTHENTICATED, code, f"{lead}: {error}.") from error
