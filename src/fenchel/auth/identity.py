"""Who is calling. Decided once at the edge; rooms below only look at these values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentity:
    """A verified end user.

    `attributes` is the flat JSON object that `ctx.auth.getUserIdentity()` returns; it always holds
    tokenIdentifier, issuer and subject (client-protocol specification 4.5). `expires_ns` is the
    wall time after which the token is no longer good, or None for an identity an admin acts as.
    """

    attributes: dict[str, Any]
    expires_ns: int | None

    @property
    def token_identifier(self) -> str:
        return str(self.attributes["tokenIdentifier"])


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credentials were given."""


@dataclass(frozen=True, slots=True)
class User:
    user: UserIdentity


@dataclass(frozen=True, slots=True)
class Admin:
    """Holder of an admin key; `acting_as` is what functions see as the user."""

    acting_as: UserIdentity | None = None
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class System:
    """Fenchel itself: scheduled functions, crons."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A token was refused; only HTTP actions go on, and reading the identity raises."""

    code: str
    message: str


Identity = Anonymous | User | Admin | System | Unknown


def user_attributes(identity: Identity) -> dict[str, Any] | None:
    """What `getUserIdentity` returns for this caller."""
    match identity:
        case User(user):
            return user.attributes
        case Admin(acting_as) if acting_as is not None:
            return acting_as.attributes
        case _:
            return None


def cache_key(identity: Identity) -> str:
    """Equal for callers between whom no function can tell a difference."""
    if isinstance(identity, Unknown):
        return f"{identity.code}: {identity.message}"
    attributes = user_attributes(identity)
    if attributes is None:
        return ""
    return hashlib.sha256(json.dumps(attributes, sort_keys=True).encode()).hexdigest()


def is_admin(identity: Identity) -> bool:
    """True if the caller may run internal functions and reach components directly."""
    return isinstance(identity, Admin | System)
