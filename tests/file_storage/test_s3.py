"""What a file storage in S3 does besides the contract: clean up, refuse, fail clearly."""

from __future__ import annotations

import os

import pytest
from obstore.store import S3Store

from fenchel.errors import FenchelError
from fenchel.file_storage import S3Address, S3FileStorage, parse_s3_address, s3
from fenchel.runtime import Runtime
from tests.end_to_end.fenchel_server import free_port
from tests.s3_server import S3Server

RANDOMNESS = Runtime().randomness


@pytest.fixture
def address(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Address:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return parse_s3_address(s3_server.address(RANDOMNESS.uuid4()))


def objects_of(address: S3Address, folder: str) -> S3Store:
    assert address.endpoint is not None
    return S3Store(
        address.bucket,
        prefix=f"{address.prefix}/{folder}",
        config={"endpoint": address.endpoint},
        client_options={"allow_http": True},
    )


def names(store: S3Store) -> list[str]:
    return sorted(found["path"] for page in store.list() for found in page)


async def test_what_a_crash_left_half_written_goes_at_the_next_start(address: S3Address) -> None:
    key = await (await S3FileStorage.connect(address, "files", RANDOMNESS)).store(b"kept")
    store = objects_of(address, "files")
    store.put(".writing/of-a-dead-process", b"half")
    storage = await S3FileStorage.connect(address, "files", RANDOMNESS)
    assert names(store) == [key]
    assert await storage.load(key) == b"kept"


async def test_folders_are_apart(address: S3Address) -> None:
    files = await S3FileStorage.connect(address, "files", RANDOMNESS)
    exports = await S3FileStorage.connect(address, "exports", RANDOMNESS)
    key = await files.store(b"a")
    assert await exports.list_keys() == []
    await exports.delete(key)
    assert await files.load(key) == b"a"


async def test_a_large_blob_leaves_no_temporary_object(address: S3Address) -> None:
    storage = await S3FileStorage.connect(address, "files", RANDOMNESS)
    key = await storage.store(os.urandom(s3.PIECE_BYTES + 1))
    assert names(objects_of(address, "files")) == [key]


async def test_a_large_blob_that_is_there_already_is_not_copied_again(
    address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = await S3FileStorage.connect(address, "files", RANDOMNESS)
    content = os.urandom(s3.PIECE_BYTES + 1)
    key = await storage.store(content)
    monkeypatch.setattr(storage._objects, "copying", None)
    assert await storage.store(content) == key
    assert names(objects_of(address, "files")) == [key]


async def test_damaged_content_is_an_internal_error(address: S3Address) -> None:
    storage = await S3FileStorage.connect(address, "files", RANDOMNESS)
    key = await storage.store(b"good")
    objects_of(address, "files").put(key, b"bad!")
    with pytest.raises(FenchelError, match="damaged"):
        await storage.load(key)


async def test_a_blob_that_goes_while_it_is_read_is_not_found(address: S3Address) -> None:
    storage = await S3FileStorage.connect(address, "files", RANDOMNESS)
    key = await storage.store(os.urandom(2 * s3.PIECE_BYTES))
    with await storage.open(key) as file:
        assert len(file.read(10)) == 10
        await storage.delete(key)
        with pytest.raises(FenchelError, match="FileNotFound"):
            file.read()


async def test_a_file_that_s3_could_not_copy_is_refused(
    address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "BLOB_BYTES_MAX", 10)
    storage = await S3FileStorage.connect(address, "files", RANDOMNESS)
    with pytest.raises(FenchelError, match="FileTooLarge"):
        await storage.store(bytes(11))


async def test_wrong_keys_are_a_clear_error(
    address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(FenchelError, match="FileStorageUnavailable") as caught:
        await S3FileStorage.connect(address, "files", RANDOMNESS)
    assert "s3://" in caught.value.message


async def test_a_store_that_is_not_there_is_a_clear_error(
    address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_RETRIES_MAX", 0)
    nobody = S3Address(bucket="b", endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(FenchelError, match="FileStorageUnavailable"):
        await S3FileStorage.connect(nobody, "files", RANDOMNESS)
