"""Sending and reading files (client-protocol 2.9): who has the URL may do it."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator

from fenchel.application import StoredFiles
from fenchel.errors import bad_request
from fenchel.model import StoredFileRow
from fenchel.server.request import Request
from fenchel.server.response import FileBody, Headers, Response, json_response
from fenchel.server.routing import Routes

_UPLOAD = "/api/storage/upload"
_DOWNLOAD = "/api/storage/"

_CACHE_CONTROL = b"private, max-age=2592000"
_DIGEST_PREFIX = "sha-256="
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_RANGES = re.compile(r"bytes=(?:\d+-\d*|-\d+)(?:,(?:\d+-\d*|-\d+))+")
# First byte and length of a part.
_Range = tuple[int, int]
_UNSATISFIABLE: _Range = (0, 0)
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
        component = request.query.get("component", "")
        row = await self._files.find(request.path.removeprefix(_DOWNLOAD), component)
        etag = f'"{row.sha256.hex()}"'
        common: Headers = (
            (b"cache-control", _CACHE_CONTROL),
            (b"accept-ranges", b"bytes"),
            (b"etag", etag.encode()),
        )
        if request.headers.get("if-none-match") == etag:
            return Response(status=304, headers=common)
        if_range = request.headers.get("if-range", etag)
        found = _find_range(request.headers.get("range") if if_range == etag else None, row.size)
        if found == _UNSATISFIABLE:
            size = (b"content-range", f"bytes */{row.size}".encode())
            return Response(status=416, headers=(*common, size))
        start, length = found or (0, row.size)
        sent_bytes = 0 if request.method == "HEAD" else length
        file = await self._files.open(row, start=start, length=sent_bytes)
        if sent_bytes:
            self._files.record_download(component, sent_bytes)
        return Response(
            status=206 if found else 200,
            content_type=row.content_type,
            headers=(*common, _part_header(row, found)),
            file=FileBody(file=file, size_bytes=length),
        )


def _part_header(row: StoredFileRow, found: _Range | None) -> tuple[bytes, bytes]:
    """Which part it is, or the digest of the whole."""
    if found is None:
        digest = _DIGEST_PREFIX + b64encode(row.sha256).decode()
        return b"digest", digest.encode()
    start, length = found
    return b"content-range", f"bytes {start}-{start + length - 1}/{row.size}".encode()


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


def _find_range(header: str | None, size: int) -> _Range | None:
    """None for the whole file, with which an empty one and a header that is none are answered.
    `_UNSATISFIABLE` for a range behind the end, and for several (client-protocol 2.9).
    """
    asked = header.replace(" ", "") if header else ""
    if _RANGES.fullmatch(asked):
        return _UNSATISFIABLE
    match = _RANGE.fullmatch(asked)
    if match is None or match.groups() == ("", "") or not size:
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    else:
        start, end = max(0, size - int(last)), size - 1
    return (start, end - start + 1) if start <= end else _UNSATISFIABLE
