"""`storage.store` and `storage.get` of actions: the bytes stream (execution 2.13)."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import BinaryIO

import msgspec

from fenchel.isolate.addresses import invalid_arguments
from fenchel.isolate.messages import ResultKind, encode_json_bytes
from fenchel.isolate.network import ByteStreams
from fenchel.isolate.syscall_args import decode_args
from fenchel.udf import ActionCallbacks, UdfRequest

Result = tuple[ResultKind, bytes]

_CHUNK_BYTES = 1 << 18
_SHA256_BYTES = 32
_SHA256_HEX_DIGITS = 64


class _StoreArgs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`sha256` is base64 or hexadecimal."""

    stream: int
    content_type: str | None = None
    sha256: str | None = None


class _LoadArgs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    storage_id: str


class FileSyscalls:
    """Each is a transaction of its own."""

    def __init__(
        self, request: UdfRequest, callbacks: ActionCallbacks, streams: ByteStreams
    ) -> None:
        self._request = request
        self._callbacks = callbacks
        self._streams = streams
        self._handlers: dict[str, Callable[[bytes], Awaitable[Result]]] = {
            "fenchel/storeFile": self._store,
            "fenchel/loadFile": self._load,
        }

    def handler(self, op: str) -> Callable[[bytes], Awaitable[Result]] | None:
        return self._handlers.get(op)

    async def _store(self, text: bytes) -> Result:
        args = decode_args(_StoreArgs, text, "storage.store")
        body = self._streams.outgoing(args.stream)
        try:
            storage_id = await self._callbacks.store_file(
                self._request,
                body,
                content_type=args.content_type or None,
                sha256=None if args.sha256 is None else _decode_digest(args.sha256),
            )
        finally:
            body.abandon()
        return ResultKind.TEXT, encode_json_bytes(storage_id)

    async def _load(self, text: bytes) -> Result:
        args = decode_args(_LoadArgs, text, "storage.get")
        opened = await self._callbacks.open_file(self._request, args.storage_id)
        if opened is None:
            return ResultKind.TEXT, b"null"
        stream = self._streams.open_source(_FileSource(opened.file))
        answer = {"stream": stream, "contentType": opened.content_type}
        return ResultKind.TEXT, encode_json_bytes(answer)


class _FileSource:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self) -> bytes:
        return await asyncio.to_thread(self._file.read, _CHUNK_BYTES)

    def cancel(self) -> None:
        self._file.close()


def _decode_digest(text: str) -> bytes:
    """Raises: InvalidArgument."""
    try:
        if len(text) == _SHA256_HEX_DIGITS:
            return bytes.fromhex(text)
        digest = b64decode(text, validate=True)
    except ValueError as error:
        raise invalid_arguments("storage.store", error) from error
    if len(digest) != _SHA256_BYTES:
        text = "sha256 must be 32 bytes in base64 or hexadecimal"
        raise invalid_arguments("storage.store", ValueError(text))
    return digest
