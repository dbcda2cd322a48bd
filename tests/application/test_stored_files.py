"""Files of users: from upload to deletion (execution 2.9, client-protocol 2.9)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from fenchel.application import StoredFiles, UsageTracker
from fenchel.auth import KeyBroker
from fenchel.database import Database
from fenchel.errors import ErrorKind, FenchelError
from fenchel.file_storage import MemoryFileStorage
from fenchel.model import VIRTUAL_TABLES
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from tests.application.fakes import ManualClock

CONTENT = b"a file of a user"


@dataclass(frozen=True, slots=True)
class Bench:
    files: StoredFiles
    database: Database
    storage: MemoryFileStorage
    clock: ManualClock

    async def upload(self, content: bytes = CONTENT, *, sha256: bytes | None = None) -> str:
        return await self.files.upload(
            "", chunks(content), content_type="text/plain", sha256=sha256
        )

    async def url(self, storage_id: str) -> str | None:
        return await self.files.access(self.database.begin(), "").url(storage_id)

    async def read(self, storage_id: str) -> bytes:
        """Through the file's URL, as a client does."""
        url = await self.url(storage_id)
        assert url is not None
        row = await self.files.find(url.rpartition("/")[2], "")
        with await self.files.open(row, start=0, length=row.size) as file:
            return file.read(row.size)

    async def delete(self, storage_id: str) -> None:
        tx = self.database.begin()
        await self.files.access(tx, "").delete(storage_id)
        await self.database.commit(tx)


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content[:4]
    yield content[4:]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with opened() as bench:
        yield bench


@asynccontextmanager
async def opened() -> AsyncIterator[Bench]:
    clock = ManualClock()
    runtime = Runtime(clock=clock)
    database = await Database.open(MemoryPersistence(), runtime, VIRTUAL_TABLES)
    storage = MemoryFileStorage()
    files = StoredFiles(
        database=database,
        storage=storage,
        key_broker=KeyBroker("test-instance", bytes(32)),
        cloud_url="http://127.0.0.1:3210",
        usage=UsageTracker(database, runtime),
        runtime=runtime,
    )
    try:
        yield Bench(files, database, storage, clock)
    finally:
        await database.close()


async def test_an_uploaded_file_is_read_through_its_url(bench: Bench) -> None:
    storage_id = await bench.upload()
    assert await bench.read(storage_id) == CONTENT
    metadata = await bench.files.access(bench.database.begin(), "").metadata(storage_id)
    assert metadata is not None
    assert metadata.storage_id == storage_id
    assert metadata.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (metadata.size, metadata.content_type) == (len(CONTENT), "text/plain")


async def test_functions_see_the_file_as_a_document(bench: Bench) -> None:
    storage_id = await bench.upload()
    document = await bench.database.begin().user().get(storage_id, is_system=True)
    assert document is not None
    assert document.value["size"] == float(len(CONTENT))
    assert document.value["contentType"] == "text/plain"


async def test_the_uuid_names_the_file_too(bench: Bench) -> None:
    storage_id = await bench.upload()
    url = await bench.url(storage_id)
    assert url is not None
    assert await bench.url(url.rpartition("/")[2]) == url


async def test_a_wrong_digest_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(FenchelError, match="Sha256Mismatch"):
        await bench.upload(sha256=bytes(32))
    assert await bench.storage.list_keys() == []


async def test_an_upload_that_breaks_off_leaves_nothing(bench: Bench) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise FenchelError(ErrorKind.CLIENT_DISCONNECT, "ClientDisconnect", "gone")

    with pytest.raises(FenchelError, match="ClientDisconnect"):
        await bench.files.upload("", broken(), content_type=None, sha256=None)
    assert await bench.storage.list_keys() == []


async def test_a_deleted_file_has_no_url_and_no_content(bench: Bench) -> None:
    storage_id = await bench.upload()
    url = await bench.url(storage_id)
    assert url is not None
    await bench.delete(storage_id)
    assert await bench.url(storage_id) is None
    with pytest.raises(FenchelError, match="FileNotFound"):
        await bench.files.find(url.rpartition("/")[2], "")
    with pytest.raises(FenchelError, match=f"storage id {storage_id} not found"):
        await bench.delete(storage_id)


@pytest.mark.parametrize("storage_id", ["", "nonsense", "00000000-0000-0000-0000-00000000000G"])
async def test_what_is_no_storage_id_is_refused(bench: Bench, storage_id: str) -> None:
    with pytest.raises(FenchelError, match="InvalidStorageId"):
        await bench.url(storage_id)


async def test_a_file_of_a_transaction_exists_once_it_is_committed(bench: Bench) -> None:
    tx = bench.database.begin()
    storage_id = await bench.files.access(tx, "").store(CONTENT, content_type=None, sha256=None)
    assert await bench.files.access(tx, "").load(storage_id) == (CONTENT, None)
    assert await bench.url(storage_id) is None
    await bench.database.commit(tx)
    assert await bench.read(storage_id) == CONTENT


async def test_a_file_that_is_too_large_for_a_mutation_is_not_loaded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_id = await bench.upload(bytes((16 << 20) + 1))
    monkeypatch.setattr(bench.storage, "load", None)
    with pytest.raises(FenchelError, match="TooManyFileBytesRead"):
        await bench.files.access(bench.database.begin(), "").load(storage_id)


class TestParts:
    """What `storage.get` of an action gives, read piece by piece."""

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [(0, 16, CONTENT), (2, 4, b"file"), (7, 99, b"of a user"), (99, 5, b""), (3, 0, b"")],
    )
    async def test_of_a_file(self, bench: Bench, start: int, length: int, expected: bytes) -> None:
        part = await bench.files.open_part(await bench.upload(), "", start, length)
        assert await part.read() == expected
        assert await part.read() == b""
        part.cancel()

    async def test_come_in_pieces(self, bench: Bench) -> None:
        content = bytes(range(256)) * 4_000
        part = await bench.files.open_part(await bench.upload(content), "", 1, len(content))
        pieces = []
        while piece := await part.read():
            pieces.append(piece)
        part.cancel()
        assert b"".join(pieces) == content[1:]
        assert len(pieces) == 4

    async def test_end_with_the_file(self, bench: Bench) -> None:
        storage_id = await bench.upload(bytes(1_000_000))
        part = await bench.files.open_part(storage_id, "", 0, 1_000_000)
        assert await part.read()
        await bench.delete(storage_id)
        with pytest.raises(FenchelError, match=f"The file {storage_id} was deleted"):
            await part.read()
        part.cancel()
        with pytest.raises(FenchelError, match="StorageFileDeleted"):
            await bench.files.open_part(storage_id, "", 0, 1)

    async def test_are_what_one_reader_asked_for(self, bench: Bench) -> None:
        part = await bench.files.open_part(await bench.upload(), "", 0, 4)
        assert sorted(await asyncio.gather(part.read(), part.read())) == [b"", b"a fi"]
        part.cancel()
        part.cancel()
        assert await part.read() == b""


class TestUploadUrls:
    """The token of an upload URL."""

    async def test_it_is_valid_for_an_hour(self, bench: Bench) -> None:
        token = bench.files.upload_url("some component").rpartition("token=")[2]
        bench.clock.seconds = 3_600
        assert bench.files.open_token(token) == "some component"
        bench.clock.seconds = 3_601
        with pytest.raises(FenchelError, match="StorageTokenExpired"):
            bench.files.open_token(token)

    @pytest.mark.parametrize("token", ["", "x", "AQ"])
    async def test_any_other_is_refused(self, bench: Bench, token: str) -> None:
        with pytest.raises(FenchelError, match="InvalidStorageToken") as caught:
            bench.files.open_token(token)
        assert caught.value.kind is ErrorKind.UNAUTHENTICATED


class TestUnusedBytes:
    """What no file names is deleted, and nothing else."""

    async def test_bytes_of_deleted_files_go_later(self, bench: Bench) -> None:
        await bench.delete(await bench.upload())
        await bench.files.delete_unused()
        assert len(await bench.storage.list_keys()) == 1
        bench.clock.seconds = 7_200
        await bench.files.delete_unused()
        await bench.files.delete_unused()
        assert await bench.storage.list_keys() == []

    async def test_bytes_that_another_file_has_too_stay(self, bench: Bench) -> None:
        await bench.delete(await bench.upload())
        other = await bench.upload()
        bench.clock.seconds = 7_200
        await bench.files.delete_unused()
        await bench.files.delete_unused()
        assert await bench.read(other) == CONTENT

    async def test_bytes_stay_while_a_transaction_may_still_name_them(self, bench: Bench) -> None:
        tx = bench.database.begin()
        storage_id = await bench.files.access(tx, "").store(CONTENT, content_type=None, sha256=None)
        await bench.files.delete_unused()
        await bench.database.commit(tx)
        assert await bench.read(storage_id) == CONTENT

    async def test_what_a_crash_left_behind_goes_at_once(self, bench: Bench) -> None:
        await bench.storage.store(b"left by a former process")
        await bench.files.delete_unused()
        assert await bench.storage.list_keys() == []
