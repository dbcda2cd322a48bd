"""uvicorn's HTTP protocol with a short way for queries whose answer is known.

A request for a query is held until its last byte, if that is in the same read as its first: then
the answer cache is asked, and a known answer is written at once, without a task and an ASGI call.
Everything else takes uvicorn's way as if it had never been held. The only file that names uvicorn's
protocol class. Numbers: decision 0013.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fenchel.server.answer_cache import ANSWER_KEY, AnswerCache, AnswerKey, answer_key

_QUERY_URL = b"/api/query"
_STATUS_LINE = b"HTTP/1.1 200 OK\r\n"


class HttpProtocol(HttpToolsProtocol):
    """Invariant: `_held` (pieces of a body) is None between two calls of `data_received`."""

    def __init__(self, *, answers: AnswerCache, **options: Any) -> None:
        super().__init__(**options)
        self._answers = answers
        self._held: list[bytes] | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._head = b""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:
            self._release(b"".join(self._held), None)

    def on_headers_complete(self) -> None:
        if self.url == _QUERY_URL and self._may_hold():
            self._held = []
        else:
            super().on_headers_complete()

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
        self.transport.write(self._common_head() + tail)
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
        super().on_headers_complete()
        super().on_body(body)

    def _common_head(self) -> bytes:
        """Status line and date; uvicorn makes a new list of default headers every second."""
        default_headers = self.server_state.default_headers
        if self._default_headers is not default_headers:
            lines = [name + b": " + value + b"\r\n" for name, value in default_headers]
            self._head = _STATUS_LINE + b"".join(lines)
            self._default_headers = default_headers
        return self._head
