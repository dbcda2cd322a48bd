"""What an HTTP action and its client exchange: the request goes in, the response comes out while
the action runs (execution 1.8, 2.13).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.isolate.messages import ResultKind, encode_json_bytes
from fenchel.isolate.network import ByteStreams, OutgoingStream
from fenchel.isolate.syscall_args import decode_args
from fenchel.udf import HeaderPairs, HttpClient, HttpExchange, HttpResponseHead

Result = tuple[ResultKind, bytes]

# Of a header's value only the tab may be one (RFC 9110, 5.5).
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What ends a response early without being the action's failure.
_ENDS = frozenset({"ClientDisconnect", "HttpResponseTooLarge"})


class _Route(msgspec.Struct, frozen=True, kw_only=True):
    route: Annotated[str, Meta(max_length=4_096)]


class _Response(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    status: Annotated[int, Meta(ge=200, le=599)]
    header_pairs: list[tuple[str, str]]
    stream_id: int | None
    body_bytes: Annotated[int, Meta(ge=0)] | None = None


class _RequestBody:
    """What the client sends; `read_bytes` is how much of it came into the realm."""

    def __init__(self, client: HttpClient) -> None:
        self.read_bytes = 0
        self._client = client

    async def read(self) -> bytes:
        chunk = await self._client.read()
        self.read_bytes += len(chunk)
        return chunk

    def cancel(self) -> None:
        self._client.cancel()


class HttpSyscalls:
    """Life: not routed, routed, then at most once a response. `status` is None until then."""

    def __init__(self, exchange: HttpExchange, streams: ByteStreams, *, component: str) -> None:
        self.status: int | None = None
        self.is_routed = False
        self.sent_bytes = 0
        self._exchange = exchange
        self._body = _RequestBody(exchange.client)
        self._component = component
        self._streams = streams
        self._handlers: dict[str, Callable[[bytes], Awaitable[Result]]] = {
            "fenchel/respond": self._respond,
            "fenchel/waitDisconnect": self._wait_disconnect,
        }

    @property
    def request_bytes(self) -> int:
        """How much of the request's body was read so far."""
        return self._body.read_bytes

    def args_json(self) -> str:
        """What the realm is told of the request. Opens the stream of its body."""
        head = self._exchange.head
        stream = self._streams.open_source(self._body, is_foreign=True) if head.has_body else None
        request = {
            "headerPairs": [
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
            ],
            "url": head.url,
            "method": head.method,
            "streamId": stream,
        }
        return encode_json_bytes({"request": request, "path": head.path}).decode()

    def handler(self, op: str) -> Callable[[bytes], Awaitable[Result]] | None:
        return self._handlers.get(op)

    def name_route(self, text: bytes) -> None:
        """The first word about it counts: the runtime says it before user code runs."""
        route = decode_args(_Route, text, "http").route
        if not self.is_routed:
            self.is_routed = True
            self._exchange.on_route(self._component, route)

    async def _wait_disconnect(self, text: bytes) -> Result:
        await self._exchange.client.wait_gone()
        return ResultKind.TEXT, b""

    async def _respond(self, message: bytes) -> Result:
        """Send head and body: that of a stream, or the whole of it, which stands behind the head.
        The answer is empty, or the reason why not all of it was sent.
        """
        head_json, _, whole = message.partition(b"\n")
        response = decode_args(_Response, head_json, "Response")
        if self.status is not None:
            raise bad_request("ResponseSent", "This HTTP action has sent its response already.")
        head = HttpResponseHead(
            status=response.status,
            headers=_encode_headers(response.header_pairs),
            body_bytes=response.body_bytes if response.stream_id is not None else len(whole),
        )
        self.status = response.status
        try:
            if response.stream_id is None:
                await self._exchange.client.respond_whole(head, whole)
                self.sent_bytes += 0 if self._exchange.head.method == "HEAD" else len(whole)
            else:
                await self._send_while_there(head, self._streams.outgoing(response.stream_id))
        except FenchelError as error:
            if error.code not in _ENDS:
                raise
            end = {"code": error.code, "message": error.message}
            return ResultKind.TEXT, encode_json_bytes(end)
        return ResultKind.TEXT, b""

    async def _send_while_there(self, head: HttpResponseHead, body: OutgoingStream) -> None:
        """Raises: ClientDisconnect at once, even if nothing is there to be sent."""
        loop = asyncio.get_running_loop()
        sending = loop.create_task(self._send(head, body), name="http response")
        leaving = loop.create_task(self._exchange.client.wait_gone(), name="http client")
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise client_gone()
            sending.result()
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            body.abandon()

    async def _send(self, head: HttpResponseHead, body: OutgoingStream) -> None:
        client = self._exchange.client
        await client.respond(head)
        if self._exchange.head.method != "HEAD":
            async for chunk in body:
                await client.write(chunk)
                self.sent_bytes += len(chunk)
        await client.finish()


def client_gone() -> FenchelError:
    return FenchelError(ErrorKind.CLIENT_DISCONNECT, "ClientDisconnect", "The client went away.")


def _encode_headers(pairs: list[tuple[str, str]]) -> HeaderPairs:
    """Raises: InvalidHeader for what cannot stand on the wire."""
    headers = []
    for name, value in pairs:
        try:
            encoded = name.encode("ascii"), value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise _invalid_header(name) from error
        if _TOKEN.fullmatch(name) is None or _CONTROL_CHARACTER.search(value):
            raise _invalid_header(name)
        headers.append(encoded)
    return tuple(headers)


def _invalid_header(name: str) -> FenchelError:
    return bad_request("InvalidHeader", f"The header {name!r} of the response is not valid.")
