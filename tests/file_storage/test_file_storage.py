"""The contract of a file storage, fulfilled by all; then what only the local one promises. See
`test_s3.py` for what only S3 does.
"""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from pathlib import Path

import pytest

from fenchel.errors import ErrorKind, FenchelError
from fenchel.file_storage import (
    FileStorage,
    LocalFileStorage,
    MemoryFileStorage,
    S3FileStorage,
    parse_s3_address,
)
from fenchel.runtime import Runtime
from tests.s3_server import S3Server


@pytest.fixture(params=["memory", "local", "s3"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FileStorage:
    if request.param == "memory":
        return MemoryFileStorage()
    if request.param == "local":
        return LocalFileStorage(tmp_path / "files")
    server: S3Server = request.getfixturevalue("s3_server")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    randomness = Runtime().randomness
    address = parse_s3_address(server.address(randomness.uuid4()))
    return await S3FileStorage.connect(address, "files", randomness)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 100_000])
async def test_content_comes_back_under_its_digest(storage: FileStorage, content: bytes) -> None:
    key = await storage.store(content)
    assert key == hashlib.sha256(content).hexdigest()
    assert await storage.load(key) == content


async def test_storing_twice_is_storing_once(storage: FileStorage) -> None:
    assert await storage.store(b"same") == await storage.store(b"same")


@pytest.mark.parametrize("key", ["0" * 64, "../../etc/passwd", ""])
async def test_unknown_keys_are_not_found(storage: FileStorage, key: str) -> None:
    with pytest.raises(FenchelError) as caught:
        await storage.load(key)
    assert caught.value.kind is ErrorKind.NOT_FOUND


async def test_what_is_written_piece_by_piece_is_the_same_blob(storage: FileStorage) -> None:
    async with storage.create() as blob:
        blob.file.write(b"one ")
        blob.file.write(b"two")
        key = await blob.finish()
    assert key == await storage.store(b"one two")


async def test_a_blob_that_is_not_finished_leaves_nothing(
    storage: FileStorage, tmp_path: Path
) -> None:
    async with storage.create() as blob:
        blob.file.write(b"half")
    assert await storage.list_keys() == []
    assert files_below(tmp_path) == []


async def test_a_blob_says_how_much_of_it_is_written(storage: FileStorage) -> None:
    async with storage.create() as blob:
        blob.file.write(b"one ")
        blob.file.write(b"two")
        assert blob.file.tell() == 7
        await blob.finish()


async def test_an_archive_can_be_written_and_read(storage: FileStorage) -> None:
    async with storage.create() as blob:
        with zipfile.ZipFile(blob.file, "w") as archive:
            archive.writestr("a.txt", b"one")
            archive.writestr("b/c.txt", b"two" * 10_000)
        key = await blob.finish()
    with await storage.open(key) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("a.txt") == b"one"
        assert archive.read("b/c.txt") == b"two" * 10_000


async def test_a_large_blob_comes_back_whole_and_in_parts(storage: FileStorage) -> None:
    pieces = [bytes([number]) * (1 << 20) for number in range(19)]
    async with storage.create() as blob:
        for piece in pieces:
            await asyncio.to_thread(blob.file.write, piece)
        key = await blob.finish()
    whole = b"".join(pieces)
    assert key == hashlib.sha256(whole).hexdigest()
    assert await storage.load(key) == whole
    assert await storage.list_keys() == [key]
    with await storage.open(key) as file:
        for start in (9_500_000, 3, len(whole) - 5):
            file.seek(start)
            assert file.read(1_000_000) == whole[start : start + 1_000_000]
        assert file.read(1) == b""


async def test_a_large_blob_that_is_not_finished_leaves_nothing(
    storage: FileStorage, tmp_path: Path
) -> None:
    async with storage.create() as blob:
        await asyncio.to_thread(blob.file.write, bytes(10 << 20))
    assert await storage.list_keys() == []
    assert files_below(tmp_path) == []


async def test_a_blob_can_be_read_from_anywhere_in_it(storage: FileStorage) -> None:
    with await storage.open(await storage.store(b"0123456789")) as file:
        file.seek(5)
        assert file.read(2) == b"56"


@pytest.mark.parametrize(("start", "length"), [(3, 4), (0, 0), (10, 5), (8, 2)])
async def test_a_part_of_a_blob_is_opened_where_it_begins(
    storage: FileStorage, start: int, length: int
) -> None:
    key = await storage.store(b"0123456789")
    with await storage.open(key, start=start, length=length) as file:
        assert file.read(length) == b"0123456789"[start : start + length]


@pytest.mark.parametrize("key", ["0" * 64, "../../etc/passwd"])
async def test_unknown_blobs_cannot_be_opened(storage: FileStorage, key: str) -> None:
    with pytest.raises(FenchelError, match="FileNotFound"):
        await storage.open(key)


async def test_deleted_blobs_are_gone_but_open_ones_stay_readable(storage: FileStorage) -> None:
    key, other = await storage.store(b"goes"), await storage.store(b"stays")
    with await storage.open(key) as file:
        await storage.delete(key)
        assert file.read() == b"goes"
    assert await storage.list_keys() == [other]
    await storage.delete(key)
    await storage.delete("../" + other)
    assert await storage.load(other) == b"stays"


async def test_content_survives_a_restart(tmp_path: Path) -> None:
    key = await LocalFileStorage(tmp_path).store(b"kept")
    assert await LocalFileStorage(tmp_path).load(key) == b"kept"


async def test_half_written_files_are_removed_at_the_next_start(tmp_path: Path) -> None:
    key = await LocalFileStorage(tmp_path).store(b"kept")
    leftover = tmp_path / key[:2] / ".writing-abc"
    leftover.write_bytes(b"half")
    streamed = tmp_path / ".writing-def"
    streamed.write_bytes(b"half")
    LocalFileStorage(tmp_path)
    assert not leftover.exists()
    assert not streamed.exists()


async def test_damaged_content_is_an_internal_error(tmp_path: Path) -> None:
    storage = LocalFileStorage(tmp_path)
    key = await storage.store(b"good")
    (tmp_path / key[:2] / key).write_bytes(b"bad")
    with pytest.raises(FenchelError, match="damaged"):
        await storage.load(key)


async def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalFileStorage(tmp_path)

    def fail(_source: str, _target: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        await storage.store(b"content")
    assert files_below(tmp_path) == []


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
