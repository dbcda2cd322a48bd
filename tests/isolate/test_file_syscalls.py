"""Stored files and an action: what is found, read, sent on, and what happens when a side leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, TypeVar

import pytest

from fenchel.errors import FenchelError, bad_request
from fenchel.isolate.file_syscalls import FileSyscalls
from fenchel.isolate.messages import ResultKind
from fenchel.isolate.network import ByteStreams
from fenchel.udf import FileAccess, FileMetadata, FileSource, UdfRequest, UdfType
from tests.isolate.requests import make_request

_T = TypeVar("_T")

REQUEST = make_request(UdfType.ACTION)
CONTENT = b"0123456789"
METADATA = FileMetadata(storage_id="kg1", sha256="00", size=10.0, content_type="text/plain")


class Source:
    """Gives two bytes at a time; `deleted_at` bytes later the file is gone."""

    def __init__(self, content: bytes, deleted_at: int | None) -> None:
        self.is_cancelled = False
        self._content = content
        self._position = 0
        self._deleted_at = deleted_at

    async def read(self) -> bytes:
        if self._position == self._deleted_at:
            raise bad_request("StorageFileDeleted", "The file was deleted.")
        self._position += 2
        return self._content[self._position - 2 : self._position]

    def cancel(self) -> None:
        self.is_cancelled = True


class Files:
    """`FileAccess` of one file."""

    async def metadata(self, storage_id: str) -> FileMetadata | None:
        return METADATA if storage_id == "kg1" else None


class Callbacks:
    """`ActionCallbacks` as far as files need them."""

    def __init__(self, deleted_at: int | None = None) -> None:
        self.sources: list[Source] = []
        self.stored = b""
        self._deleted_at = deleted_at

    async def with_files(
        self, request: UdfRequest, work: Callable[[FileAccess], Awaitable[_T]]
    ) -> _T:
        files: Any = Files()
        return await work(files)

    async def open_file(
        self, request: UdfRequest, storage_id: str, start: int, length: int
    ) -> FileSource:
        source = Source(CONTENT[start : start + length], self._deleted_at)
        self.sources.append(source)
        return source

    async def store_file(
        self,
        request: UdfRequest,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None,
        sha256: bytes | None,
    ) -> str:
        async for chunk in chunks:
            self.stored += chunk
        return "kg2"


class Bench:
    def __init__(self, deleted_at: int | None = None) -> None:
        self.callbacks = Callbacks(deleted_at)
        self.streams = ByteStreams(count_max=4)
        callbacks: Any = self.callbacks
        self.syscalls = FileSyscalls(REQUEST, callbacks, self.streams)

    async def call(self, op: str, **args: Any) -> str:
        handler = self.syscalls.handler(f"fenchel/{op}")
        assert handler is not None
        kind, payload = await handler(json.dumps(args).encode())
        assert kind is ResultKind.TEXT
        return payload.decode()

    async def read_all(self, number: int) -> bytes:
        content = b""
        while chunk := await self.streams.read(number):
            content += chunk
        return content


async def test_a_file_is_found_without_being_opened() -> None:
    bench = Bench()
    found = json.loads(await bench.call("findFile", storageId="kg1"))
    assert found == {"size": 10, "contentType": "text/plain"}
    assert await bench.call("findFile", storageId="kg9") == "null"
    assert bench.callbacks.sources == []


async def test_a_part_is_read_as_a_stream() -> None:
    bench = Bench()
    number = int(await bench.call("openFile", storageId="kg1", start=3, length=5))
    assert await bench.read_all(number) == b"34567"
    assert bench.callbacks.sources[0].is_cancelled


@pytest.mark.parametrize("part", [{"start": -1, "length": 1}, {"start": 0, "length": 1.5}])
async def test_senseless_parts_are_refused(part: dict[str, Any]) -> None:
    with pytest.raises(FenchelError, match="Invalid argument"):
        await Bench().call("openFile", storageId="kg1", **part)


async def test_a_part_becomes_another_file_inside_the_backend() -> None:
    bench = Bench()
    async with asyncio.TaskGroup() as tasks:
        storing = tasks.create_task(bench.call("storeFile", stream=1, contentType="x"))
        await bench.streams.outgoing(1).write(b"<")
        assert await bench.call("sendFile", storageId="kg1", start=1, length=9, stream=1) == ""
        await bench.streams.outgoing(1).end()
    assert json.loads(storing.result()) == "kg2"
    assert bench.callbacks.stored == b"<123456789"


async def test_a_receiver_that_leaves_ends_the_reading() -> None:
    bench = Bench()
    sending = asyncio.create_task(
        bench.call("sendFile", storageId="kg1", start=0, length=10, stream=1), name="send"
    )
    receiver = aiter(bench.streams.outgoing(1))
    assert await anext(receiver) == b"01"
    bench.streams.abandon_outgoing(1)
    assert await sending == "left"
    assert bench.callbacks.sources[0].is_cancelled


async def test_a_file_that_goes_is_an_error_for_who_reads_and_who_sends() -> None:
    bench = Bench(deleted_at=4)
    number = int(await bench.call("openFile", storageId="kg1", start=0, length=10))
    with pytest.raises(FenchelError, match="StorageFileDeleted"):
        await bench.read_all(number)
    receiver = aiter(bench.streams.outgoing(1))
    sending = asyncio.create_task(
        bench.call("sendFile", storageId="kg1", start=0, length=10, stream=1), name="send"
    )
    assert [await anext(receiver), await anext(receiver)] == [b"01", b"23"]
    with pytest.raises(FenchelError, match="StorageFileDeleted"):
        await sending
    assert all(source.is_cancelled for source in bench.callbacks.sources)
