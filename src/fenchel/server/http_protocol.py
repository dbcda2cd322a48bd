"""uvicorn's HTTP protocol with responses in one write, and a short way for queries whose answer is
known.

A request for a query is held until its last byte, if that is in the same read as its first: then
the answer cache is asked, and a known answer is written at once, without a task and an ASGI call.
Everything else takes uvicorn's way as if it had never been held. The only file that names uvicorn's
protocol class. Numbers: decision 0013.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from fenchel.server.answer_cache import AnswerCache, AnswerKey, answer_key

# What the state of an ASGI scope carries: the key under which the answer may be stored, and the way
# to send a complete response in one write. uvicorn writes head and body apart: two system calls,
# and two wake-ups of the client, at 10 to 50 µs each.
ANSWER_KEY = "fenchel.answer_key"
RESPOND = "fenchel.respond"
CONNECTION = "fenchel.connection"
TAKE_BODY = "fenchel.take_body"

Respond = Callable[[int, bytes], Awaitable[None]]
# The whole body if it has come already; else None, and ASGI's `receive` gives it.
TakeBody = Callable[[], bytes | None]


class Connection(Protocol):
    """What ASGI does not tell of the connection that a request came on."""

    def lost_event(self) -> asyncio.Event:
        """Set when the connection is gone, also while nobody reads from it."""
        ...

    def close(self) -> None:
        """Send what is buffered, then close."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


_QUERY_URL = b"/api/query"
# From the first byte of a request, or the beginning of the connection, to the end of its headers.
HEAD_SECONDS_MAX = 30.0


class HttpProtocol(HttpToolsProtocol):
    """Invariant: `_held` (pieces of a body) is None between two calls of `data_received`; then
    `_head_timer` runs exactly while the headers of a request are missing.
    """

    def __init__(self, *, answers: AnswerCache, **options: Any) -> None:
        super().__init__(**options)
        self._answers = answers
        self._held: list[bytes] | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""
        self._lost: asyncio.Event | None = None
        self._is_in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._is_in_head = False
        self._watch_head()
        if self._lost is not None:
            self._lost.set()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # The end of the connection is told to the other protocol. Parser and protocol hold each
        # other, and garbage cycles are seldom looked for.
        self.parser = None  # type: ignore[assignment]

    def lost_event(self) -> asyncio.Event:
        if self._lost is None:
            self._lost = asyncio.Event()
            if self.cycle.disconnected:
                self._lost.set()
        return self._lost

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:
            self._release(b"".join(self._held), None)
        if self._is_in_head != (self._head_timer is not None):
            self._watch_head()

    def _watch_head(self) -> None:
        """Clients may be idle between requests, but not in the middle of one."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._is_in_head:
            self._head_timer = self.loop.call_later(HEAD_SECONDS_MAX, self.transport.abort)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self.url == _QUERY_URL and self._may_hold():
            self._held = []
        else:
            self._start()

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        if self._held is None:
            super().on_message_complete()
            return
        body = b"".join(self._held)
        key = answer_key(body, self.headers)
        tail = None if key is None else self._answers.find(key)
        if tail is None:
            self._release(body, key)
            super().on_message_complete()
            return
        self._held = None
        self.transport.write(self._common_head(200) + tail)
        self.on_response_complete()

    def _may_hold(self) -> bool:
        """True for a plain request on a connection that is free and stays open."""
        parser = self.parser
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.expect_100_continue
            and not self.flow.write_paused
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
        )

    def _release(self, body: bytes, key: AnswerKey | None) -> None:
        """Go uvicorn's way from the end of the head on."""
        self._held = None
        if self.transport.is_closing():
            return
        self.scope["state"][ANSWER_KEY] = key
        self._start()
        super().on_body(body)

    def _start(self) -> None:
        """Hand the request to the application, in a task that begins to run later."""
        super().on_headers_complete()
        if self.cycle is not None and self.cycle.scope is self.scope:
            self.scope["state"][RESPOND] = partial(self._respond, self.cycle)
            self.scope["state"][CONNECTION] = self
            self.scope["state"][TAKE_BODY] = partial(_take_body, self.cycle)

    async def _respond(self, cycle: RequestResponseCycle, status: int, tail: bytes) -> None:
        """What two calls of `cycle.send` do."""
        assert not cycle.response_started, "one response per request"
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        cycle.response_started = True
        cycle.response_complete = True
        end = b"" if cycle.keep_alive else b"connection: close\r\n"
        self.transport.write(self._common_head(status) + end + tail)
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def _common_head(self, status: int) -> bytes:
        """Status line and date; uvicorn makes a new list of default headers every second."""
        default_headers = self.server_state.default_headers
        if self._default_headers is not default_headers:
            lines = [name + b": " + value + b"\r\n" for name, value in default_headers]
            self._default_lines = b"".join(lines)
            self._default_headers = default_headers
        return STATUS_LINE[status] + self._default_lines


def _take_body(cycle: RequestResponseCycle) -> bytes | None:
    """What `cycle.receive` gives, without a turn of the event loop."""
    if cycle.more_body or cycle.disconnected:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    cycle.flow.resume_reading()
    return body
