"""What callers may do with imports (database specification 10.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec

from fenchel.application.imports import errors
from fenchel.application.imports.uploads import ImportUploads
from fenchel.application.imports.worker import confirmed_state
from fenchel.application.imports.zip_tables import check_component_name
from fenchel.application.transactions import Result, Work, run_transaction
from fenchel.database import Database, Subscription, Transaction, check_user_table_name
from fenchel.errors import FenchelError, bad_request
from fenchel.model import (
    ImportFormat,
    ImportFormatName,
    ImportMode,
    ImportRow,
    ImportState,
    fail_import,
    get_import,
    insert_import,
    replace_import,
)
from fenchel.runtime import Runtime

_WRITE_SOURCE = "_system/imports"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """Where the rows go. `table_name` is needed by all formats but `zip`, which names its own.
    `component_path` may name a component that no push has brought yet.
    """

    format: ImportFormatName
    mode: ImportMode = "requireEmpty"
    table_name: str | None = None
    component_path: str | None = None


class ImportService:
    """Uploads, confirmation, cancelling. Raises FenchelError with the codes of section 10."""

    def __init__(self, *, database: Database, uploads: ImportUploads, runtime: Runtime) -> None:
        self._database = database
        self._uploads = uploads
        self._runtime = runtime

    def start_upload(self) -> str:
        """The token of an upload in parts."""
        return self._uploads.start()

    async def upload_part(self, token: str, number: int, content: bytes) -> str:
        """The token of the part, numbered from 1. Raises: InvalidImport."""
        return await self._uploads.add_part(token, number, content)

    async def finish_upload(
        self, request: ImportRequest, token: str, part_tokens: Sequence[str]
    ) -> str:
        """The id of an import that waits to be confirmed. Raises: InvalidName, InvalidImport."""
        _check_request(request)

        async def insert_row(key: str) -> str:
            return await self._insert(request, key, is_auto_confirmed=False)

        return await self._uploads.finish(token, part_tokens, insert_row)

    async def import_file(self, request: ImportRequest, chunks: AsyncIterator[bytes]) -> int:
        """Import a whole file without asking; the number of documents written.

        Raises: the errors of specification 10.6; ImportFailed.
        """
        _check_request(request)

        async def insert_row(key: str) -> str:
            return await self._insert(request, key, is_auto_confirmed=True)

        import_id = await self._uploads.store(chunks, insert_row)
        row = await self._wait_finished(import_id)
        if row.state.state == "failed":
            raise bad_request(row.error_code or "ImportFailed", row.state.error_message or "")
        assert row.state.num_rows_written is not None
        return row.state.num_rows_written

    async def perform(self, import_id: str) -> None:
        """Confirm an import that waits for it. Raises: ImportNotFound, InvalidImport."""

        async def work(tx: Transaction) -> None:
            row = (await get_import(tx, import_id)).row
            if row.state.state != "waiting_for_confirmation":
                raise bad_request(
                    "InvalidImport", f"Import {import_id} is {row.state.state} already."
                )
            changed = msgspec.structs.replace(row, state=confirmed_state())
            await replace_import(tx, import_id, changed)

        await self._transact(work)

    async def cancel(self, import_id: str) -> None:
        """Give an unfinished import up; nothing of it is seen, but what `append` has added stays.

        Raises: ImportNotFound, CannotCancelImport.
        """

        async def work(tx: Transaction) -> None:
            snapshot_import = await get_import(tx, import_id)
            if snapshot_import.row.is_finished:
                raise bad_request(
                    "CannotCancelImport",
                    f"Import {import_id} is {snapshot_import.row.state.state} already.",
                )
            await fail_import(tx, snapshot_import, code="ImportCanceled", message="Import canceled")

        await self._transact(work)

    async def _insert(self, request: ImportRequest, key: str, *, is_auto_confirmed: bool) -> str:
        row = ImportRow(
            state=ImportState(state="uploaded"),
            format=ImportFormat(
                format=request.format,
                table=request.table_name,
                component=request.component_path or "",
            ),
            mode=request.mode,
            object_key=key,
            is_auto_confirmed=is_auto_confirmed,
            created_ns=self._runtime.clock.now_ns(),
        )
        return await self._transact(lambda tx: insert_import(tx, row))

    async def _wait_finished(self, import_id: str) -> ImportRow:
        while True:
            tx = self._database.begin()
            row = (await get_import(tx, import_id)).row
            if row.is_finished:
                return row
            changed = asyncio.Event()

            def wake(_: Subscription, event: asyncio.Event = changed) -> None:
                event.set()

            subscription = self._database.subscribe(self._database.token(tx), wake)
            try:
                await changed.wait()
            finally:
                subscription.close()

    async def _transact(self, work: Work[Result]) -> Result:
        return await run_transaction(
            self._database, self._runtime, work, write_source=_WRITE_SOURCE
        )


def _check_request(request: ImportRequest) -> None:
    """Raises: InvalidName, InvalidComponentName."""
    if request.component_path:
        for name in request.component_path.split("/"):
            check_component_name(name)
    if request.format == "zip":
        if request.table_name is not None:
            raise errors.invalid_name(request.table_name, "a ZIP archive names its own tables")
        return
    if request.table_name is None:
        raise errors.invalid_name("", f"the format {request.format} needs one")
    try:
        check_user_table_name(request.table_name)
    except FenchelError as error:
        raise errors.invalid_name(request.table_name, error.message) from error
