"""Claims of a verified token to what functions see (client-protocol specification 4.5)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_TEXT_FIELDS = {
    "name": "name",
    "given_name": "givenName",
    "family_name": "familyName",
    "nickname": "nickname",
    "preferred_username": "preferredUsername",
    "profile": "profileUrl",
    "picture": "pictureUrl",
    "website": "websiteUrl",
    "email": "email",
    "gender": "gender",
    "birthdate": "birthday",
    "zoneinfo": "timezone",
    "locale": "language",
    "phone_number": "phoneNumber",
}
_BOOLEAN_FIELDS = {
    "email_verified": "emailVerified",
    "phone_number_verified": "phoneNumberVerified",
}
_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
# These describe the login, or change whenever a token is refreshed.
_OIDC_DROPPED = _REGISTERED | {
    *("auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash", "fva"),
    *("address", "updated_at"),
}


def oidc_attributes(claims: dict[str, Any]) -> dict[str, Any]:
    """Standard claims in camelCase (left out if of a wrong type), others under their names."""
    attributes: dict[str, Any] = {}
    for name, value in claims.items():
        if name in _TEXT_FIELDS:
            if isinstance(value, str):
                attributes[_TEXT_FIELDS[name]] = value
        elif name in _BOOLEAN_FIELDS:
            if value in (True, False, "true", "false"):
                attributes[_BOOLEAN_FIELDS[name]] = value in (True, "true")
        elif name not in _OIDC_DROPPED:
            attributes[name] = value
    address = claims.get("address")
    if isinstance(address, dict) and isinstance(address.get("formatted"), str):
        attributes["address"] = address["formatted"]
    updated_at = _decode_time(claims.get("updated_at"))
    if updated_at is not None:
        attributes["updatedAt"] = updated_at
    return {**attributes, **_base_attributes(claims)}


def custom_attributes(claims: dict[str, Any]) -> dict[str, Any]:
    """Every unregistered claim under its own name; nested objects flattened with dots."""
    kept = {n: v for n, v in claims.items() if n not in _REGISTERED and n != "fva"}
    return {**_flatten(kept, ""), **_base_attributes(claims)}


def _base_attributes(claims: dict[str, Any]) -> dict[str, Any]:
    issuer, subject = claims["iss"], claims["sub"]
    return {"tokenIdentifier": f"{issuer}|{subject}", "issuer": issuer, "subject": subject}


def _flatten(claims: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in claims.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _decode_time(value: Any) -> str | None:
    """RFC 3339, from seconds since the epoch."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None
