"""Sending and reading files over HTTP (client-protocol 2.9)."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fenchel.server.routing import Routes
from fenchel.server.storage_routes import StorageHandlers
from tests.application.test_stored_files import Bench, opened
from tests.server.fakes import Edge, open_edge

CONTENT = bytes(range(256)) * 1_000
DIGEST = hashlib.sha256(CONTENT).digest()


@dataclass(frozen=True, slots=True)
class Deployment:
    edge: Edge
    bench: Bench

    async def upload(
        self, content: bytes = CONTENT, *, path: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and body of the answer."""
        path = path or self.bench.files.upload_url("").removeprefix("http://127.0.0.1:3210")
        session = self.edge.session
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with session.post(self.edge.url + path, data=content, headers=named) as response:
            return response.status, await response.json()

    async def uploaded_path(self, content: bytes = CONTENT, **headers: str) -> str:
        """Where a new file can be read."""
        status, body = await self.upload(content, **headers)
        assert status == 200, body
        url = await self.bench.url(body["storageId"])
        assert url is not None
        return url.removeprefix("http://127.0.0.1:3210")

    async def read(
        self, path: str, *, method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        session = self.edge.session
        async with session.request(method, self.edge.url + path, headers=named) as response:
            lowered = {name.lower(): value for name, value in response.headers.items()}
            return response.status, lowered, await response.read()


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    async with opened() as bench:

        def routes(_authenticator: object) -> list[Routes]:
            return [StorageHandlers(bench.files).routes]

        async with open_edge(more_routes=routes) as edge:
            yield Deployment(edge, bench)


async def test_a_file_comes_back_with_what_was_said_about_it(deployment: Deployment) -> None:
    path = await deployment.uploaded_path(Content_Type="image/png")
    status, headers, body = await deployment.read(path)
    assert (status, body) == (200, CONTENT)
    assert headers["content-type"] == "image/png"
    assert headers["content-length"] == str(len(CONTENT))
    assert headers["cache-control"] == "private, max-age=2592000"
    assert headers["accept-ranges"] == "bytes"
    assert headers["digest"] == f"sha-256={b64encode(DIGEST).decode()}"


async def test_head_has_the_headers_only(deployment: Deployment) -> None:
    path = await deployment.uploaded_path()
    status, headers, body = await deployment.read(path, method="HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-length"] == str(len(CONTENT))


async def test_the_digest_is_checked(deployment: Deployment) -> None:
    right = f"sha-256={b64encode(DIGEST).decode()}"
    assert (await deployment.upload(Digest=right))[0] == 200
    wrong = f"sha-256={b64encode(bytes(32)).decode()}"
    status, body = await deployment.upload(Digest=wrong)
    assert (status, body["code"]) == (400, "Sha256Mismatch")
    for unreadable in ("md5=aaaa", "sha-256=!!", "sha-256=AAAA", ""):
        status, body = await deployment.upload(Digest=unreadable)
        assert (status, body["code"]) == (400, "BadHeader")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/storage/upload", 400, "BadQueryArgs"),
        ("/api/storage/upload?token=forged", 401, "InvalidStorageToken"),
    ],
)
async def test_uploads_without_a_valid_token_are_refused(
    deployment: Deployment, path: str, status: int, code: str
) -> None:
    answer = await deployment.upload(path=path)
    assert (answer[0], answer[1]["code"]) == (status, code)


async def test_unknown_files(deployment: Deployment) -> None:
    status, _, body = await deployment.read("/api/storage/not-a-uuid")
    assert status == 400
    assert b"InvalidStoragePath" in body
    status, _, body = await deployment.read("/api/storage/00000000-0000-4000-8000-000000000000")
    assert status == 404
    assert b"FileNotFound" in body


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=255990-", 255_990, 256_000),
        ("bytes=255990-999999", 255_990, 256_000),
        ("bytes=-10", 255_990, 256_000),
        ("bytes=-999999", 0, 256_000),
    ],
)
async def test_one_range(deployment: Deployment, asked: str, start: int, end: int) -> None:
    path = await deployment.uploaded_path()
    status, headers, body = await deployment.read(path, Range=asked)
    assert (status, body) == (206, CONTENT[start:end])
    assert headers["content-range"] == f"bytes {start}-{end - 1}/256000"
    assert "digest" not in headers


@pytest.mark.parametrize("asked", ["bytes=256000-", "bytes=300000-400000", "bytes=-0"])
async def test_a_range_behind_the_end(deployment: Deployment, asked: str) -> None:
    path = await deployment.uploaded_path()
    status, headers, _ = await deployment.read(path, Range=asked)
    assert status == 416
    assert headers["content-range"] == "bytes */256000"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=0-1, -5", "bytes=-1,0-"])
async def test_several_ranges_are_not_sent(deployment: Deployment, asked: str) -> None:
    path = await deployment.uploaded_path()
    status, headers, body = await deployment.read(path, Range=asked)
    assert (status, body) == (416, b"")
    assert headers["content-range"] == "bytes */256000"


@pytest.mark.parametrize("asked", ["bytes=-", "bytes=0-1,", "items=0-1", "bytes=9-1", "x"])
async def test_other_ranges_get_the_whole_file(deployment: Deployment, asked: str) -> None:
    path = await deployment.uploaded_path()
    status, _, body = await deployment.read(path, Range=asked)
    assert (status, body) == (200, CONTENT)


async def test_what_a_client_has_already_is_not_sent_again(deployment: Deployment) -> None:
    path = await deployment.uploaded_path()
    etag = (await deployment.read(path))[1]["etag"]
    status, _, body = await deployment.read(path, If_None_Match=etag)
    assert (status, body) == (304, b"")
    status, _, body = await deployment.read(path, Range="bytes=0-4", If_Range='"another"')
    assert (status, body) == (200, CONTENT)


async def test_an_empty_file(deployment: Deployment) -> None:
    path = await deployment.uploaded_path(b"")
    for asked in ({}, {"Range": "bytes=0-"}, {"Range": "bytes=-5"}):
        status, _, body = await deployment.read(path, **asked)
        assert (status, body) == (200, b"")
