"""The client of one HTTP action (`udf.HttpClient`) above ASGI: limits and deadlines of its body and
of the response (client-protocol 2.8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.runtime.settings import MEBIBYTE, ServerSettings
from fenchel.server.request import Request, Send
from fenchel.server.response import Response, encode_headers, text_response
from fenchel.udf import HttpResponseHead

# The connection's own business, and the date that the server adds itself.
_DROPPED = frozenset(
    {b"connection", b"date", b"keep-alive", b"proxy-connection", b"te", b"trailer"}
    | {b"transfer-encoding", b"upgrade"}
)
_BODILESS_STATUS = frozenset({204, 304})
# For the rest of a response that is broken off to leave.
_CLOSE_SECONDS_MAX = 5.0


class HttpActionClient:
    """`status` is None until the response begins. `refusal` is what to answer, if nothing was sent,
    when the body of the request is to blame. Invariant: of the `response_bytes` all that the limit
    allows went out.
    """

    def __init__(self, request: Request, send: Send, settings: ServerSettings) -> None:
        self.status: int | None = None
        self.refusal: Response | None = None
        self._request = request
        self._connection = request.connection
        self._lost = request.connection.lost_event()
        self._send_message = send
        self._settings = settings
        self._is_body_over = False
        self._is_finished = False
        self._received_bytes = self.response_bytes = 0
        self.response_bytes_max = settings.http_action_response_bytes_max
        self._declared_bytes: int | None = None

    async def read(self) -> bytes:
        chunk = b""
        while not chunk and not self._is_body_over:
            chunk, is_more = await self._receive()
            self._is_body_over = not is_more
        self._received_bytes += len(chunk)
        limit = self._settings.http_action_body_bytes_max
        if self._received_bytes > limit:
            self.refusal = request_too_large(limit)
            raise bad_request("RequestTooLarge", f"The body is larger than {limit} bytes.")
        return chunk

    async def _receive(self) -> tuple[bytes, bool]:
        try:
            async with asyncio.timeout(self._settings.http_action_silence_seconds_max):
                return await self._request.receive_piece()
        except TimeoutError as error:
            self._is_body_over = True
            self.refusal = text_response("The rest of the request's body is missing.", status=408)
            message = "The client stopped sending the body."
            raise bad_request("RequestTimeout", message) from error
        except FenchelError as error:
            self._is_body_over = True
            raise bad_request(error.code, "The client went away before all was sent.") from error

    def cancel(self) -> None:
        """Nothing: what is left of a body is discarded by the connection."""

    async def respond(self, head: HttpResponseHead) -> None:
        self.status = head.status
        headers = _kept_headers(head)
        self._declared_bytes = _declared_bytes(head, is_head=self._request.method == "HEAD")
        await self._send({"type": "http.response.start", "status": head.status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        room = self.response_bytes_max - self.response_bytes
        self.response_bytes += len(chunk)
        if self._declared_bytes is not None and self.response_bytes > self._declared_bytes:
            raise _wrong_length(self._declared_bytes)
        if room > 0:
            await self._send(
                {"type": "http.response.body", "body": chunk[:room], "more_body": True}
            )
        if len(chunk) > room:
            raise _response_too_large(self.response_bytes_max)

    async def finish(self) -> None:
        declared = None if self._request.method == "HEAD" else self._declared_bytes
        if declared is not None and self.response_bytes < declared:
            raise _wrong_length(declared)
        await self._send({"type": "http.response.body", "body": b""})
        self._is_finished = True

    async def respond_whole(self, head: HttpResponseHead, body: bytes) -> None:
        if self._request.method == "HEAD":
            body = b""
        if len(body) > self.response_bytes_max:
            await self.respond(head)
            await self.write(body)
        if body and head.status in _BODILESS_STATUS:
            raise _wrong_length(0)
        self.status = head.status
        tail = encode_headers(_kept_headers(head)) + body
        await self._while_there(partial(self._request.respond, head.status, tail))
        self.response_bytes = len(body)
        self._is_finished = True

    async def wait_gone(self) -> None:
        await self._lost.wait()

    async def break_off(self) -> None:
        """Close the connection in the middle of the response, so that the client sees that there
        should be more. Does nothing after `finish`.
        """
        if self._is_finished or self.status is None:
            return
        self._connection.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                await self._lost.wait()
        except TimeoutError:
            self._connection.abort()
            await self._lost.wait()

    async def _send(self, message: dict[str, Any]) -> None:
        """Raises: ClientDisconnect, also for one who does not read."""
        await self._while_there(partial(self._send_message, message))

    async def _while_there(self, send: Callable[[], Awaitable[None]]) -> None:
        """Raises: as `_send`."""
        if self._lost.is_set():
            raise _client_gone()
        try:
            async with asyncio.timeout(self._settings.http_action_silence_seconds_max):
                await send()
        except TimeoutError as error:
            self._connection.abort()
            raise _client_gone() from error
        if self._lost.is_set():
            raise _client_gone()


def request_too_large(bytes_max: int) -> Response:
    return text_response(f"The request body is larger than {bytes_max} bytes.", status=413)


def _kept_headers(head: HttpResponseHead) -> list[tuple[bytes, bytes]]:
    """Those of the app, in lower case, with the length of the body if that is known."""
    pairs = [(name.lower(), value) for name, value in head.headers]
    headers = [pair for pair in pairs if pair[0] not in _DROPPED]
    if head.body_bytes is not None and head.status not in _BODILESS_STATUS:
        headers = [pair for pair in headers if pair[0] != b"content-length"]
        headers.append((b"content-length", str(head.body_bytes).encode()))
    return headers


def _declared_bytes(head: HttpResponseHead, *, is_head: bool) -> int | None:
    """How long the body must be. Raises: InvalidHeader."""
    if head.status in _BODILESS_STATUS:
        return 0
    if head.body_bytes is not None or is_head:
        return head.body_bytes
    texts = {value for name, value in head.headers if name.lower() == b"content-length"}
    if not texts:
        return None
    text = texts.pop()
    if texts or not (text.isdigit() and len(text) < 20):
        raise bad_request("InvalidHeader", "The header 'content-length' is not a number.")
    return int(text)


def _wrong_length(declared_bytes: int) -> FenchelError:
    return bad_request(
        "ContentLengthMismatch",
        f"The body of the response has not the {declared_bytes} bytes that its header "
        "content-length says.",
    )


def _response_too_large(bytes_max: int) -> FenchelError:
    return bad_request(
        "HttpResponseTooLarge",
        f"HTTP actions support responses up to {bytes_max / MEBIBYTE:g} MiB",
    )


def _client_gone() -> FenchelError:
    return FenchelError(ErrorKind.CLIENT_DISCONNECT, "ClientDisconnect", "The client went away.")
