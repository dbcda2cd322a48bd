"""The Authorization header (client-protocol specification 2.2, 4.6)."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec

from fenchel.auth.identity import Admin, Identity, User, UserIdentity
from fenchel.auth.key_broker import KeyBroker
from fenchel.auth.token_verifier import TokenVerifier
from fenchel.errors import ErrorKind, FenchelError, bad_request

_HEADER_LENGTH_MIN = 7
_ADMIN_SCHEME = "convex "
_USER_SCHEME = "bearer "


async def parse_authorization(
    header: str, key_broker: KeyBroker, verifier: TokenVerifier, now_ns: int
) -> Identity:
    """The identity that a header proves: an admin (perhaps acting as a user) or an end user.

    Raises: InvalidHeaderFailure, InvalidAdminKey, HeaderParseFailure (400), BadAdminKey (401),
    BadDeployKey (403), and what `TokenVerifier.verify` raises.
    """
    if len(header) < _HEADER_LENGTH_MIN:
        raise bad_request("InvalidHeaderFailure", "The Authorization header is too short.")
    scheme, credentials = header[:_HEADER_LENGTH_MIN].lower(), header[_HEADER_LENGTH_MIN:]
    if scheme == _ADMIN_SCHEME:
        return _parse_admin(credentials.strip(), key_broker)
    if scheme == _USER_SCHEME:
        return User(await verifier.verify(credentials.strip(), now_ns))
    raise bad_request(
        "InvalidAdminKey", "The Authorization header must start with `Bearer ` or `Convex `."
    )


def may_expire(identity: Identity) -> bool:
    """Whether `check_not_expired` will ever raise."""
    return isinstance(identity, User) and identity.user.expires_ns is not None


def check_not_expired(identity: Identity, now_ns: int) -> None:
    """Raises: TokenExpired if the token behind a verified identity is no longer good (3.12)."""
    if isinstance(identity, User):
        expires_ns = identity.user.expires_ns
        if expires_ns is not None and expires_ns <= now_ns:
            raise FenchelError(
                ErrorKind.UNAUTHENTICATED, "TokenExpired", "The authentication token has expired."
            )


def _parse_admin(credentials: str, key_broker: KeyBroker) -> Admin:
    # A type prefix ("prod:") may hold a colon too, but only before the bar.
    name, bar, rest = credentials.partition("|")
    secret, colon, acting_as = rest.partition(":")
    admin = key_broker.check_admin_key(name + bar + secret)
    if not colon:
        return admin
    return Admin(acting_as=_decode_acting_as(acting_as), is_read_only=admin.is_read_only)


def _decode_acting_as(text: str) -> UserIdentity:
    try:
        attributes = msgspec.json.decode(b64decode(text, validate=True), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise bad_request(
            "HeaderParseFailure", "The identity to act as must be base64 of a JSON object."
        ) from error
    attributes = {name: value for name, value in attributes.items() if value is not None}
    for name in ("tokenIdentifier", "issuer", "subject"):
        if not isinstance(attributes.get(name, ""), str):
            raise bad_request("HeaderParseFailure", f"`{name}` of the identity must be a string.")
    if "tokenIdentifier" not in attributes:
        if "issuer" not in attributes or "subject" not in attributes:
            raise bad_request(
                "HeaderParseFailure",
                "The identity to act as needs `tokenIdentifier`, or both `issuer` and `subject`.",
            )
        attributes["tokenIdentifier"] = f"{attributes['issuer']}|{attributes['subject']}"
    return UserIdentity(attributes=attributes, expires_ns=None)


def check_may_write(identity: Identity) -> None:
    """Raises: Forbidden for a read-only admin key (deploy-protocol 1.5)."""
    if isinstance(identity, Admin) and identity.is_read_only:
        raise FenchelError(
            ErrorKind.FORBIDDEN,
            "Forbidden",
            "You do not have permission to perform this operation: the admin key is read-only.",
        )
