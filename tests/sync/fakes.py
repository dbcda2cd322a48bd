"""A scripted application and a socket without a network, both at the seams of the sync room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from fenchel.application import (
    ActionRun,
    ClientResult,
    FunctionCall,
    MutationRun,
    QueryRun,
    SessionRequest,
)
from fenchel.auth import Admin, Anonymous, Identity, User, UserIdentity
from fenchel.database import ReadSet, Subscription, Token
from fenchel.documents import Timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.sync import Authenticate, SocketClosed

JsonObject = dict[str, Any]

WAIT_SECONDS_MAX = 30.0


def token(ts: int) -> Token:
    return Token(reads=ReadSet(), ts=Timestamp(ts))


def query_run(
    value: Any, *, ts: int, journal: str | None = None, is_identity_free: bool = True
) -> QueryRun:
    """A successful run whose fingerprint is its value."""
    value_json = json.dumps(value)
    return QueryRun(
        result=ClientResult(is_success=True, value_json=value_json),
        ts=Timestamp(ts),
        token=token(ts),
        journal=journal,
        read_fingerprint=value_json.encode,
        is_identity_free=is_identity_free,
    )


def user(name: str, *, expires_ns: int | None = None) -> User:
    attributes = {"issuer": "https://i", "subject": name, "tokenIdentifier": f"https://i|{name}"}
    return User(UserIdentity(attributes=attributes, expires_ns=expires_ns))


class FakeSubscription:
    def __init__(self, backend: FakeBackend, on_invalidate: Callable[[Any], None]) -> None:
        self.is_valid = True
        self._backend = backend
        self._on_invalidate = on_invalidate

    def invalidate(self) -> None:
        self.is_valid = False
        asyncio.get_running_loop().call_soon(self._on_invalidate, self)

    def close(self) -> None:
        self._backend.subscriptions.discard(self)
        self._on_invalidate = lambda _: None


class FakeBackend:
    """One counter as a database: queries return it, mutations add to it; tests may hook each call.

    Every commit invalidates every subscription, unless `is_unrelated`. `journal` goes into every
    result; `is_personal` makes results depend on the caller.
    """

    def __init__(self) -> None:
        self.ts = 100
        self.changed_ts = 0
        self.counter = 0
        self.queries: list[FunctionCall] = []
        self.mutations: list[tuple[FunctionCall, SessionRequest | None]] = []
        self.actions: list[FunctionCall] = []
        self.subscriptions: set[FakeSubscription] = set()
        self.before_query: Callable[[FunctionCall], Awaitable[None]] = _nothing
        self.before_mutation: Callable[[FunctionCall], Awaitable[None]] = _nothing
        self.after_commit: Callable[[FunctionCall], Awaitable[None]] = _nothing
        self.before_action: Callable[[FunctionCall], Awaitable[None]] = _nothing
        # What the query cache has.
        self.known: Callable[[FunctionCall, Timestamp], QueryRun | None] = lambda *_: None
        self.journals: list[str | None] = []
        self.journal: str | None = "journal at {ts}"
        self.is_personal = False
        self.values: dict[int, int] = {100: 0}

    def commit(
        self,
        *,
        is_unrelated: bool = False,
        on_commit: Callable[[Timestamp], None] | None = None,
    ) -> Timestamp:
        self.ts += 10
        if on_commit is not None:
            on_commit(Timestamp(self.ts))
        if not is_unrelated:
            self.counter += 1
            self.changed_ts = self.ts
            for subscription in list(self.subscriptions):
                self.subscriptions.discard(subscription)
                subscription.invalidate()
        self.values[self.ts] = self.counter
        return Timestamp(self.ts)

    def latest_ts(self) -> Timestamp:
        return Timestamp(self.ts)

    def subscribe(
        self, watched: Token, on_invalidate: Callable[[Subscription], None]
    ) -> Subscription:
        subscription = FakeSubscription(self, cast(Callable[[Any], None], on_invalidate))
        if watched.ts < self.changed_ts:
            subscription.invalidate()
        else:
            self.subscriptions.add(subscription)
        return cast(Subscription, subscription)

    async def run_query(
        self, call: FunctionCall, *, ts: Timestamp | None = None, journal: str | None = None
    ) -> QueryRun:
        assert ts is not None
        self.queries.append(call)
        self.journals.append(journal)
        await self.before_query(call)
        value = [self.values[ts], str(call.identity)] if self.is_personal else self.values[ts]
        journal = self.journal and self.journal.format(ts=ts)
        return query_run(value, ts=ts, journal=journal, is_identity_free=not self.is_personal)

    def find_query(
        self, call: FunctionCall, *, ts: Timestamp, journal: str | None = None
    ) -> QueryRun | None:
        return self.known(call, ts)

    async def run_mutation(
        self,
        call: FunctionCall,
        *,
        session: SessionRequest | None = None,
        on_commit: Callable[[Timestamp], None] | None = None,
    ) -> MutationRun:
        self.mutations.append((call, session))
        await self.before_mutation(call)
        if call.path == "fail":
            return MutationRun(result=ClientResult(is_success=False, error_message="no"), ts=None)
        ts = self.commit(on_commit=on_commit)
        await self.after_commit(call)
        return MutationRun(result=ClientResult(is_success=True, value_json='"done"'), ts=ts)

    async def run_action(self, call: FunctionCall) -> ActionRun:
        self.actions.append(call)
        await self.before_action(call)
        return ActionRun(result=ClientResult(is_success=True, value_json='"acted"'))


async def _nothing(_call: FunctionCall) -> None:
    return None


class FakeAuthenticator:
    """Tokens are user names; "bad" is refused, "unreachable" has a provider without an answer."""

    def __init__(self) -> None:
        self.expires_ns: int | None = None

    async def authenticate(self, message: Authenticate) -> Identity:
        if message.value == "bad":
            raise FenchelError(ErrorKind.UNAUTHENTICATED, "InvalidAuthHeader", "bad token")
        if message.value == "unreachable":
            raise FenchelError(ErrorKind.OVERLOADED, "AuthProviderDiscoveryFailed", "no provider")
        match message.token_type:
            case "None":
                return Anonymous()
            case "Admin":
                return Admin()
            case "User":
                return user(message.value or "", expires_ns=self.expires_ns)


class FakeSocket:
    """Both ends of one connection: the worker's `Socket`, and the client's `say` and `hear`."""

    def __init__(self) -> None:
        self.heard: list[JsonObject] = []
        self.texts: list[bytes] = []
        self.closed: tuple[int | None, str] | None = None
        self._said: asyncio.Queue[str | None] = asyncio.Queue()
        self._news = asyncio.Event()
        self._read_count = 0
        self.accepts = asyncio.Event()
        self.accepts.set()
        self.is_gone = False

    @property
    def is_writable(self) -> bool:
        return self.accepts.is_set()

    async def receive(self) -> str:
        text = await self._said.get()
        if text is None:
            raise SocketClosed
        return text

    def write(self, text: bytes) -> None:
        if self.is_gone:
            raise SocketClosed
        self.texts.append(text)
        self.heard.append(json.loads(text))
        self._news.set()

    async def drain(self) -> None:
        await self.accepts.wait()

    async def close(self, code: int | None, reason: str) -> None:
        self.closed = (code, reason)

    def say(self, *messages: JsonObject) -> None:
        for message in messages:
            self._said.put_nowait(json.dumps(message))

    def say_text(self, text: str) -> None:
        self._said.put_nowait(text)

    def leave(self) -> None:
        self._said.put_nowait(None)

    async def hear(self) -> JsonObject:
        """The next message from the worker."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while self._read_count == len(self.heard):
                self._news.clear()
                await self._news.wait()
        message = self.heard[self._read_count]
        self._read_count += 1
        return message

    async def hear_until(self, message_type: str) -> JsonObject:
        """The next message of a type; others before it are passed over."""
        while True:
            message = await self.hear()
            if message["type"] == message_type:
                return message

    @property
    def is_heard_out(self) -> bool:
        return self._read_count == len(self.heard)
