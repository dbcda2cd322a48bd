"""A whole backend that keeps its files in an S3-compatible store."""

from __future__ import annotations

import hashlib
import io
import os

import aiohttp
import pytest

from fenchel.file_storage import parse_s3_address
from fenchel.runtime import Runtime
from fenchel.server import Instance, ServeOptions, compose
from tests.s3_server import S3Server

CONTENT = os.urandom(9 << 20)


async def test_uploads_and_ranges(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    runtime = Runtime()
    options = ServeOptions(
        host="127.0.0.1",
        port=0,
        site_port=0,
        data_dir=None,
        instance=Instance(name="test", secret=bytes(32)),
        file_storage=parse_s3_address(s3_server.address(runtime.randomness.uuid4())),
    )
    backend = await compose(options, runtime)
    try:
        async with aiohttp.ClientSession() as session:
            sent = await session.post(
                backend.application.files.upload_url(""), data=io.BytesIO(CONTENT)
            )
            storage_id = (await sent.json())["storageId"]
            tx = backend.database.begin()
            files = backend.application.files.access(tx, "")
            url = await files.url(storage_id)
            assert url is not None
            whole = await session.get(url)
            assert hashlib.sha256(await whole.read()).digest() == hashlib.sha256(CONTENT).digest()
            part = await session.get(url, headers={"Range": "bytes=8388600-8388615"})
            assert (part.status, await part.read()) == (206, CONTENT[8388600:8388616])
    finally:
        await backend.close()
