"""Files of users on their way from an archive into the file storage (database specification 10.5,
step 6).
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from fenchel.application.archived_files import ArchivedFile
from fenchel.application.imports import errors
from fenchel.application.imports.zip_tables import ZIP_ERRORS
from fenchel.application.stored_files import StoredFiles
from fenchel.errors import FenchelError, bad_request
from fenchel.model import StoredFileRow, encode_stored_file, is_storage_uuid
from fenchel.values import Value

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileImporter:
    """`open_file` gives the content of a file of the archive by its id."""

    files: StoredFiles
    open_file: Callable[[str], BinaryIO]

    async def store(self, value: dict[str, Value]) -> dict[str, Value]:
        """The document to insert for a line of `_storage`, once the content is durable.

        Raises: InvalidZip, InvalidImport if the content is not what the line says,
        InvalidStorageId.
        """
        file = msgspec.convert(value, ArchivedFile, strict=False)
        row = await self._store_content(file)
        if file.size not in (None, row.size):
            raise _mismatch(file, f"has {row.size} bytes, not {file.size}")
        if file.internal_id is not None:
            if not is_storage_uuid(file.internal_id):
                raise bad_request(
                    "InvalidStorageId", f"{file.internal_id!r} of {file.id} is not a UUID."
                )
            row = msgspec.structs.replace(row, storage_id=file.internal_id)
        document = {**encode_stored_file(row), "_id": file.id}
        if file.creation_time is not None:
            document["_creationTime"] = file.creation_time
        return document

    async def _store_content(self, file: ArchivedFile) -> StoredFileRow:
        digest = _decode_digest(file)
        with self.open_file(file.id) as content:
            try:
                return await self.files.store_chunks(
                    _read_pieces(content), content_type=file.content_type, sha256=digest
                )
            except FenchelError as error:
                if error.code != "Sha256Mismatch":
                    raise
                raise _mismatch(file, "has another SHA-256 than is listed") from error


async def _read_pieces(content: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while piece := await asyncio.to_thread(content.read, _PIECE_BYTES):
            yield piece
    except ZIP_ERRORS as error:
        raise errors.invalid_zip(str(error)) from error


def _decode_digest(file: ArchivedFile) -> bytes | None:
    if file.sha256 is None:
        return None
    try:
        return b64decode(file.sha256, validate=True)
    except binascii.Error as error:
        raise _mismatch(file, "has a SHA-256 that is not base64") from error


def _mismatch(file: ArchivedFile, reason: str) -> FenchelError:
    return bad_request("InvalidImport", f"The stored file {file.id} {reason}.")
