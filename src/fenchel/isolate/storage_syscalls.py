"""System calls about stored files, the same for transactions and actions (execution 2.9)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable

import msgspec

from fenchel.isolate.addresses import invalid_arguments
from fenchel.isolate.messages import encode_json_bytes
from fenchel.isolate.syscall_args import decode_args
from fenchel.udf import FileAccess

StorageCall = Callable[[FileAccess, bytes], Awaitable[bytes]]


class _FileArgs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    storage_id: str


class _StoreArgs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`blob` is base64, `sha256` too."""

    blob: str
    content_type: str | None = None
    sha256: str | None = None


class _Blob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    blob: str
    content_type: str | None


async def _url(files: FileAccess, text: bytes) -> bytes:
    args = decode_args(_FileArgs, text, "storage.getUrl")
    return encode_json_bytes(await files.url(args.storage_id))


async def _metadata(files: FileAccess, text: bytes) -> bytes:
    args = decode_args(_FileArgs, text, "storage.getMetadata")
    return encode_json_bytes(await files.metadata(args.storage_id))


async def _upload_url(files: FileAccess, text: bytes) -> bytes:
    return encode_json_bytes(files.upload_url())


async def _delete(files: FileAccess, text: bytes) -> bytes:
    args = decode_args(_FileArgs, text, "storage.delete")
    await files.delete(args.storage_id)
    return b"null"


async def _store(files: FileAccess, text: bytes) -> bytes:
    args = decode_args(_StoreArgs, text, "storage.store")
    storage_id = await files.store(
        _decode_base64(args.blob),
        content_type=args.content_type or None,
        sha256=None if args.sha256 is None else _decode_base64(args.sha256),
    )
    return encode_json_bytes(storage_id)


async def _load(files: FileAccess, text: bytes) -> bytes:
    args = decode_args(_FileArgs, text, "storage.get")
    found = await files.load(args.storage_id)
    if found is None:
        return b"null"
    content, content_type = found
    return encode_json_bytes(_Blob(blob=b64encode(content).decode(), content_type=content_type))


def _decode_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise invalid_arguments("storage.store", error) from error


# Available wherever a function may look at files.
STORAGE_READS: dict[str, StorageCall] = {
    "1.0/storageGetUrl": _url,
    "1.0/storageGetMetadata": _metadata,
}
# In mutations and actions.
STORAGE_WRITES: dict[str, StorageCall] = {
    "1.0/storageGenerateUploadUrl": _upload_url,
    "1.0/storageDelete": _delete,
}
# The bodies themselves, in mutations; actions stream them.
STORAGE_BODIES: dict[str, StorageCall] = {
    "1.0/storageStore": _store,
    "1.0/storageGet": _load,
}
