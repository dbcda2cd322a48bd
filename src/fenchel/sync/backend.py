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

    def find_query(
        self, call: FunctionCall, *, ts: Timestamp, journal: str | None = None
    ) -> QueryRun | None:
        """What `run_query` would give, if it is known without running anything."""
        ...

    async def run_mutation(
        self,
        call: FunctionCall,
        *,
        session: SessionRequest | None = None,
        on_commit: Callable[[Timestamp], None] | None = None,
    ) -> MutationRun: ...

    async def run_action(self, call: FunctionCall) -> ActionRun: ...

    def latest_ts(self) -> Timestamp: ...

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

    @property
    def is_writable(self) -> bool:
        """False while too much of what was written still waits for the peer to read."""
        ...

    async def receive(self) -> str:
        """The next message. Raises: SocketClosed; WSMessageInvalidJson for a binary message."""
        ...

    def write(self, text: bytes) -> None:
        """Put one message, UTF-8, on its way. Who writes much looks at `is_writable` first.

        Raises: SocketClosed.
        """
        ...

    async def drain(self) -> None:
        """Return when the socket is writable. Raises: SocketClosed."""
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
