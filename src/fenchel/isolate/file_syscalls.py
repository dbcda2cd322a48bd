"""`storage.store` and `storage.get` of actions: the bytes stream (execution 2.13).

What `get` gives is a name and a size. Its bytes come into the realm when they are read there, or go
at once to where the realm sends them.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from fenchel.errors import FenchelError
from fenchel.isolate.addresses import invalid_arguments
from fenchel.isolate.messages import ResultKind, encode_json_bytes
from fenchel.isolate.network import ByteStreams
from fenchel.isolate.syscall_args import decode_args
from fenchel.udf import ActionCallbacks, FileAccess, FileMetadata, FileSource, UdfRequest

Result = tuple[ResultKind, bytes]

_SHA256_BYTES = 32
_SHA256_HEX_DIGITS = 64


class _StoreArgs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`sha256` is base64 or hexadecimal."""

    stream: int
    content_type: str | None = None
    sha256: str | None = None


class _FindArgs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    storage_id: str


class _PartArgs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    storage_id: str
    start: Annotated[int, Meta(ge=0)]
    length: Annotated[int, Meta(ge=0)]


class _SendArgs(_PartArgs, frozen=True, kw_only=True, rename="camel"):
    """`stream`: the realm's number for the stream that the bytes belong to."""

    stream: int


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
            "fenchel/findFile": self._find,
            "fenchel/openFile": self._open,
            "fenchel/sendFile": self._send,
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

    async def _find(self, text: bytes) -> Result:
        args = decode_args(_FindArgs, text, "storage.get")

        async def find(files: FileAccess) -> FileMetadata | None:
            return await files.metadata(args.storage_id)

        found = await self._callbacks.with_files(self._request, find)
        if found is None:
            return ResultKind.TEXT, b"null"
        answer = {"size": int(found.size), "contentType": found.content_type}
        return ResultKind.TEXT, encode_json_bytes(answer)

    async def _open(self, text: bytes) -> Result:
        source = await self._open_part(decode_args(_PartArgs, text, "storage.get"))
        return ResultKind.TEXT, encode_json_bytes(self._streams.open_source(source))

    async def _send(self, text: bytes) -> Result:
        """The answer is empty once all was taken, and a word if the receiver wants no more."""
        args = decode_args(_SendArgs, text, "storage.get")
        receiver = self._streams.outgoing(args.stream)
        source = await self._open_part(args)
        try:
            while chunk := await source.read():
                try:
                    await receiver.write(chunk)
                except FenchelError:
                    return ResultKind.TEXT, b"left"
        finally:
            source.cancel()
        return ResultKind.TEXT, b""

    async def _open_part(self, args: _PartArgs) -> FileSource:
        """Raises: StorageFileDeleted."""
        return await self._callbacks.open_file(
            self._request, args.storage_id, args.start, args.length
        )


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
