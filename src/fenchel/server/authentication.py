"""Who sent a request: the header, the query parameter, a key in the body, or a message on the
socket.
"""

from __future__ import annotations

import base64

import msgspec

from fenchel.auth import (
    Admin,
    Anonymous,
    Identity,
    KeyBroker,
    TokenVerifier,
    check_may_write,
    parse_authorization,
)
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime import Runtime
from fenchel.server.request import Request
from fenchel.sync import Authenticate


class RequestAuthenticator:
    """Also the `Authenticator` of sync workers."""

    def __init__(
        self, *, key_broker: KeyBroker, token_verifier: TokenVerifier, runtime: Runtime
    ) -> None:
        self._key_broker = key_broker
        self._token_verifier = token_verifier
        self._runtime = runtime

    async def identify(self, request: Request) -> Identity:
        """By `Authorization`, else by `?adminKey=` (client-protocol 2.2). Raises FenchelError."""
        header = request.headers.get("authorization")
        if header is not None:
            return await self._parse(header)
        admin_key = request.query.get("adminKey")
        return Anonymous() if admin_key is None else await self._parse(f"Convex {admin_key}")

    async def identify_by_header(self, request: Request) -> Identity:
        """By `Authorization` alone; the query belongs to the app. Raises FenchelError."""
        header = request.headers.get("authorization")
        return Anonymous() if header is None else await self._parse(header)

    async def require_admin(self, request: Request, body_key: str | None = None) -> Admin:
        """The admin who sent `request`; endpoints of a push carry the key in their body.

        Raises: BadAdminKey (401) for a wrong key, BadDeployKey (403) without one (deploy-protocol
        1.5).
        """
        if body_key is not None:
            return require_admin(await self._parse(f"Convex {body_key}"))
        return require_admin(await self.identify(request))

    async def authenticate(self, message: Authenticate) -> Identity:
        """The identity that a message on the sync socket claims (client-protocol 3.4, 3.12)."""
        match message.token_type:
            case "None":
                return Anonymous()
            case "User":
                return await self._parse(f"Bearer {message.value or ''}")
            case "Admin":
                acting_as = message.impersonating or message.acting_as
                suffix = ""
                if acting_as is not None:
                    suffix = ":" + base64.b64encode(msgspec.json.encode(acting_as)).decode()
                return await self._parse(f"Convex {message.value or ''}{suffix}")

    async def _parse(self, header: str) -> Identity:
        return await parse_authorization(
            header, self._key_broker, self._token_verifier, self._runtime.clock.now_ns()
        )


def require_admin(identity: Identity) -> Admin:
    """Raises: BadDeployKey; a message that the CLI prints alone if the key may only read."""
    if not isinstance(identity, Admin):
        raise FenchelError(
            ErrorKind.FORBIDDEN, "BadDeployKey", "This endpoint needs the deployment's admin key."
        )
    return identity


def require_writer(admin: Admin) -> Admin:
    """Raises Forbidden for a read-only key (deploy-protocol 1.5)."""
    check_may_write(admin)
    return admin
