"""Identity providers of an app: `auth.config.ts`, evaluated (client-protocol specification 4.1)."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from fenchel.errors import FenchelError, bad_request

# No scheme given: a host name with a top-level domain, or localhost.
_BARE_HOST = re.compile(
    r"(localhost|([a-z0-9-]+\.)+[a-z][a-z0-9-]*[a-z])(:\d+)?(/.*)?", re.IGNORECASE
)


class OidcProvider(
    msgspec.Struct, rename={"application_id": "applicationID"}, frozen=True, kw_only=True
):
    """OpenID Connect with discovery. `domain` is the issuer's URL."""

    domain: str
    application_id: str


class CustomJwtProvider(
    msgspec.Struct, rename={"application_id": "applicationID"}, frozen=True, kw_only=True
):
    """Tokens signed with keys of a given JWKS. `application_id` None: any audience."""

    type: Literal["customJwt"] = "customJwt"
    issuer: str
    jwks: str
    algorithm: Literal["RS256", "ES256"]
    application_id: str | None = None


AuthProvider: TypeAlias = OidcProvider | CustomJwtProvider


class _AuthConfigJson(msgspec.Struct):
    providers: list[msgspec.Raw]


class _ProviderKindJson(msgspec.Struct):
    type: str | None = None
    algorithm: str | None = None


def decode_auth_config(text: str) -> tuple[AuthProvider, ...]:
    """The checked providers of an evaluated auth config, issuer URLs with their scheme.

    Raises: InvalidAuthConfig, InvalidProviderDomainUrl, InvalidSignatureAlgorithm.
    """
    try:
        config = msgspec.json.decode(text, type=_AuthConfigJson)
    except msgspec.MsgspecError as error:
        raise bad_request(
            "InvalidAuthConfig",
            f"auth.config must export an object with a list of `providers`: {error}",
        ) from error
    return tuple(_checked(decode_auth_provider(bytes(provider))) for provider in config.providers)


def decode_auth_provider(text: str | bytes) -> AuthProvider:
    """One entry of `providers`. Raises: InvalidAuthConfig, InvalidSignatureAlgorithm."""
    try:
        kind = msgspec.json.decode(text, type=_ProviderKindJson)
        if kind.type is None:
            return msgspec.json.decode(text, type=OidcProvider)
        if kind.type == "customJwt" and kind.algorithm not in ("RS256", "ES256"):
            raise bad_request(
                "InvalidSignatureAlgorithm",
                f"Unsupported signature algorithm {kind.algorithm}: use RS256 or ES256.",
            )
        return msgspec.json.decode(text, type=CustomJwtProvider)
    except msgspec.MsgspecError as error:
        raise bad_request("InvalidAuthConfig", f"Not a valid auth provider: {error}") from error


def encode_auth_provider(provider: AuthProvider) -> str:
    """The JSON text that `decode_auth_provider` reads, also sent to the CLI as `appAuth`."""
    return msgspec.json.encode(provider).decode()


def _checked(provider: AuthProvider) -> AuthProvider:
    match provider:
        case OidcProvider():
            return msgspec.structs.replace(provider, domain=_normalize_url(provider.domain))
        case CustomJwtProvider():
            is_inline = provider.jwks.startswith("data:")
            return msgspec.structs.replace(
                provider,
                issuer=_normalize_url(provider.issuer),
                jwks=provider.jwks if is_inline else _normalize_url(provider.jwks),
            )


def _normalize_url(text: str) -> str:
    """An http(s) URL; `https://` is added to a bare host."""
    if "://" not in text:
        if not _BARE_HOST.fullmatch(text):
            raise _invalid_url(text, "it must start with http:// or https://")
        return f"https://{text}"
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise _invalid_url(text, str(error)) from error
    if not is_valid:
        raise _invalid_url(text, "it must be an http:// or https:// URL with a host")
    return text


def _invalid_url(text: str, reason: str) -> FenchelError:
    return bad_request(
        "InvalidProviderDomainUrl", f"Invalid provider domain URL {text!r}: {reason}."
    )
