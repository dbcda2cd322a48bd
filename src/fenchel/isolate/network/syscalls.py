"""The operations behind `fetch` and its streams, for one action."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec

from fenchel.errors import FenchelError, bad_request
from fenchel.isolate.messages import ResultKind, encode_json_bytes
from fenchel.isolate.network.byte_streams import ByteStreams, OutgoingStream
from fenchel.isolate.network.egress import (
    Egress,
    OutgoingRequest,
    describe_failure,
    fetch_failed,
)
from fenchel.isolate.syscall_args import decode_args

Result = tuple[ResultKind, bytes]

_STREAM_NUMBER_BYTES = 4
# Responses to these have no body whatever their headers say.
_BODILESS_STATUS = frozenset({101, 103, 204, 205, 304})
_NOTHING: Result = (ResultKind.TEXT, b"")


class _FetchHead(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    fetch: int
    url: str
    method: str
    headers: list[tuple[str, str]]
    body_bytes: int | None = None
    body_stream: int | None = None


class _Stream(msgspec.Struct, frozen=True, kw_only=True):
    stream: int


class _StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    stream: int
    error: str | None = None


class _Fetch(msgspec.Struct, frozen=True, kw_only=True):
    fetch: int


class NetworkSyscalls:
    """Life: until `close`, which ends all requests of the action."""

    def __init__(self, egress: Egress, streams: ByteStreams) -> None:
        self._egress = egress
        self._streams = streams
        self._fetches: dict[int, asyncio.Task[aiohttp.ClientResponse]] = {}
        # Of bodies that came with their request, and the others by the number of their stream.
        self._sent_bytes = 0
        self._sent_streams: dict[int, OutgoingStream] = {}
        self._handlers: dict[str, Callable[[bytes], Awaitable[Result]]] = {
            "fenchel/fetch": self._fetch,
            "fenchel/abortFetch": self._abort_fetch,
            "fenchel/readStream": self._read_stream,
            "fenchel/cancelStream": self._cancel_stream,
            "fenchel/writeStream": self._write_stream,
            "fenchel/endStream": self._end_stream,
        }

    def handler(self, op: str) -> Callable[[bytes], Awaitable[Result]] | None:
        return self._handlers.get(op)

    @property
    def sent_bytes(self) -> int:
        """Bytes of request bodies so far."""
        streamed = sum(stream.taken_bytes for stream in self._sent_streams.values())
        return self._sent_bytes + streamed

    def close(self) -> None:
        for task in self._fetches.values():
            task.cancel()

    async def _fetch(self, message: bytes) -> Result:
        head_json, _, body = message.partition(b"\n")
        head = decode_args(_FetchHead, head_json, "fetch")
        outgoing = None if head.body_stream is None else self._streams.outgoing(head.body_stream)
        if head.body_stream is None or outgoing is None:
            self._sent_bytes += len(body)
        else:
            self._sent_streams[head.body_stream] = outgoing
        request = OutgoingRequest(
            url=head.url,
            method=head.method,
            headers=head.headers,
            body=_body_of(head, body, outgoing),
            body_bytes=head.body_bytes,
        )
        try:
            response = await self._respond(head.fetch, request)
        except FenchelError:
            if head.body_stream is not None:
                self._streams.abandon_outgoing(head.body_stream)
            raise
        return ResultKind.TEXT, encode_json_bytes(self._response_head(head, response))

    async def _respond(self, number: int, request: OutgoingRequest) -> aiohttp.ClientResponse:
        if number in self._fetches:
            raise bad_request("FetchFailed", "a request with this number is under way")
        task = asyncio.get_running_loop().create_task(self._egress.send(request), name="fetch")
        self._fetches[number] = task
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise fetch_failed("the request was aborted") from None
        finally:
            del self._fetches[number]
            task.cancel()

    def _response_head(
        self, head: _FetchHead, response: aiohttp.ClientResponse
    ) -> dict[str, object]:
        answer: dict[str, object] = {
            "status": response.status,
            "statusText": response.reason or "",
            "headers": [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in response.raw_headers
            ],
        }
        if head.method == "HEAD" or response.status in _BODILESS_STATUS:
            response.close()
        else:
            body = _ResponseBody(response, self._egress)
            answer["stream"] = self._streams.open_source(body, is_foreign=True)
        return answer

    async def _abort_fetch(self, text: bytes) -> Result:
        task = self._fetches.get(decode_args(_Fetch, text, "fetch").fetch)
        if task is not None:
            task.cancel()
        return _NOTHING

    async def _read_stream(self, text: bytes) -> Result:
        chunk = await self._streams.read(decode_args(_Stream, text, "ReadableStream").stream)
        return (ResultKind.BYTES, chunk) if chunk else _NOTHING

    async def _cancel_stream(self, text: bytes) -> Result:
        self._streams.cancel(decode_args(_Stream, text, "ReadableStream").stream)
        return _NOTHING

    async def _write_stream(self, message: bytes) -> Result:
        number = int.from_bytes(message[:_STREAM_NUMBER_BYTES], "little")
        await self._streams.outgoing(number).write(message[_STREAM_NUMBER_BYTES:])
        return _NOTHING

    async def _end_stream(self, text: bytes) -> Result:
        end = decode_args(_StreamEnd, text, "ReadableStream")
        failure = None if end.error is None else bad_request("StreamFailed", end.error)
        await self._streams.outgoing(end.stream).end(failure)
        return _NOTHING


def _body_of(
    head: _FetchHead, body: bytes, outgoing: OutgoingStream | None
) -> bytes | OutgoingStream | None:
    if outgoing is not None:
        return outgoing
    return None if head.body_bytes is None else body


class _ResponseBody:
    """Invariant: `_received_bytes` is what was handed out so far."""

    def __init__(self, response: aiohttp.ClientResponse, egress: Egress) -> None:
        self._response = response
        self._settings = egress.settings
        self._received_bytes = 0

    async def read(self) -> bytes:
        try:
            chunk = await self._response.content.read(self._settings.chunk_bytes_max)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            reason = describe_failure(error, self._settings)
            raise bad_request("StreamFailed", f"reading the response failed: {reason}") from error
        self._received_bytes += len(chunk)
        if self._received_bytes > self._settings.response_bytes_max:
            raise bad_request(
                "StreamFailed",
                f"the response is larger than {self._settings.response_bytes_max} bytes",
            )
        return chunk

    def cancel(self) -> None:
        self._response.close()
