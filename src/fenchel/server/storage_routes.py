"""Sending and reading files (client-protocol 2.9): who has the URL may do it."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator

from fenchel.application import OpenedFile, StoredFiles
from fenchel.errors import bad_request
from fenchel.server.request import Request
from fenchel.server.response import FileBody, Headers, Response, json_response
from fenchel.server.routing import Routes

_UPLOAD = "/api/storage/upload"
_DOWNLOAD = "/api/storage/"

_CACHE_CONTROL = b"private, max-age=2592000"
_DIGEST_PREFIX = "sha-256="
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_SEVERAL_RANGES = re.compile(r"bytes=(\d+-\d*|-\d+)(,(\d+-\d*|-\d+))+")
_SHA256_BYTES = 32


class StorageHandlers:
    """Uploads may take as long as they want, as long as bytes arrive."""

    def __init__(self, files: StoredFiles) -> None:
        self._files = files

    @property
    def routes(self) -> Routes:
        return Routes(
            exact={("POST", _UPLOAD): self.upload},
            prefixes={("GET", _DOWNLOAD): self.download, ("HEAD", _DOWNLOAD): self.download},
        )

    async def upload(self, request: Request) -> Response:
        token = request.query.get("token")
        if token is None:
            raise bad_request("BadQueryArgs", "The upload URL has no token.")
        storage_id = await self._files.upload(
            self._files.open_token(token),
            _with_deadlines(request),
            content_type=request.headers.get("content-type"),
            sha256=_decode_digest(request.headers.get("digest")),
        )
        return json_response({"storageId": storage_id})

    async def download(self, request: Request) -> Response:
        """The file, or the one range of it that was asked for (RFC 9110, 14)."""
        storage_uuid = request.path.removeprefix(_DOWNLOAD)
        component = request.query.get("component", "")
        opened = await self._files.open(storage_uuid, component)
        etag = f'"{opened.row.sha256.hex()}"'
        common: Headers = (
            (b"cache-control", _CACHE_CONTROL),
            (b"accept-ranges", b"bytes"),
            (b"etag", etag.encode()),
        )
        if request.headers.get("if-none-match") == etag:
            opened.file.close()
            return Response(status=304, headers=common)
        if_range = request.headers.get("if-range", etag)
        asked = request.headers.get("range") if if_range == etag else None
        response = _file_response(opened, _find_range(asked, opened.row.size), common)
        if response.file is not None and request.method != "HEAD":
            self._files.record_download(component, response.file.size_bytes)
        return response


def _file_response(opened: OpenedFile, found: tuple[int, int] | None, common: Headers) -> Response:
    """`found`: first byte and length of a part, None for the whole file."""
    row = opened.row
    start, size_bytes = found or (0, row.size)
    if found is not None and size_bytes == 0:
        opened.file.close()
        size = (b"content-range", f"bytes */{row.size}".encode())
        return Response(status=416, headers=(*common, size))
    headers = common
    if found is None:
        digest = _DIGEST_PREFIX + b64encode(row.sha256).decode()
        headers += ((b"digest", digest.encode()),)
    else:
        text = f"bytes {start}-{start + size_bytes - 1}/{row.size}"
        headers += ((b"content-range", text.encode()),)
    opened.file.seek(start)
    return Response(
        status=200 if found is None else 206,
        content_type=row.content_type,
        headers=headers,
        file=FileBody(file=opened.file, size_bytes=size_bytes),
    )


async def _with_deadlines(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream_body():
        request.extend_deadline()
        yield chunk


def _decode_digest(header: str | None) -> bytes | None:
    """Raises: BadHeader."""
    if header is None:
        return None
    scheme, text = header[: len(_DIGEST_PREFIX)], header[len(_DIGEST_PREFIX) :]
    try:
        digest = b64decode(text, validate=True)
    except ValueError:
        digest = b""
    if scheme.lower() != _DIGEST_PREFIX or len(digest) != _SHA256_BYTES:
        raise bad_request(
            "BadHeader", "Digest must be `sha-256=` and the digest of the body in base64."
        )
    return digest


def _find_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and length, which is 0 if there is no such part: the file ends before, or several
    ranges were asked for, as which it is never sent. None for a header that asks for the whole
    file, or for something else, and for an empty file: those get the whole.
    """
    text = header.replace(" ", "") if header else ""
    if _SEVERAL_RANGES.fullmatch(text):
        return 0, 0
    match = _RANGE.fullmatch(text)
    if match is None or match.groups() == ("", "") or size == 0:
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    else:
        start, end = max(0, size - int(last)), size - 1
    return start, max(0, end - start + 1)
