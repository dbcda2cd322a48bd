"""What a sync worker needs from the rooms below and from the socket above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fenchel.application import ActionRun, FunctionCall, MutationRun, QueryRun, SessionRequest
from fenchel.auth import Identity
from fenchel.database import Subscription, Token
from fenchel.documents import Timestamp
from fenchel.sync.protocol import Authenticate


class FunctionBackend(Protocol):
    """The part of `Application` that serves one client. All methods may raise FenchelError."""

    async def run_query(
        self, call: FunctionCall, *, ts: Timestamp | None = None, journal: str | None = None
    ) -> QueryRun: ...

    async def run_mutation(
        self, call: FunctionCall, *, session: SessionRequest | None = None
    ) -> MutationRun: ...

    async def run_action(self, call: FunctionCall) -> ActionRun: ...

    def latest_ts(self) -> Timestamp: ...

    def refresh(self, token: Token, ts: Timestamp) -> Token | None: ...

    def subscribe(
        self, token: Token, on_invalidate: Callable[[Subscription], None]
    ) -> Subscription: ...


class Authenticator(Protocol):
    async def authenticate(self, message: Authenticate) -> Identity:
        """Who the client is from now on. Raises FenchelError (client-protocol 4.7)."""
        ...


class SocketClosed(Exception):
    """The peer is gone; nothing more can be sent or received."""


class Socket(Protocol):
    """One WebSocket: text messages only."""

    async def receive(self) -> str:
        """The next message. Raises: SocketClosed; WSMessageInvalidJson for a binary message."""
        ...

    async def send(self, text: str) -> None:
        """Return when the message is on its way, waiting while the peer reads slowly. Raises
        SocketClosed.
        """
        ...

    async def close(self, code: int | None, reason: str) -> None:
        """Send a close frame; without effect if the peer is gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientInfo:
    """What the upgrade request told. `takes_chunks`: npm 1.28.0 or newer (client-protocol 3.9)."""

    takes_chunks: bool
    client_ip: str | None = None
    user_agent: str | None = None
