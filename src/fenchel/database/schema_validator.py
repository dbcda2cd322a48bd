"""The worker that checks existing documents against a pending schema (database specification 5.6),
and then against what schemas stage.

How far it has come stands in `_schema_validation_progress`, a row while the schema is pending.

Documents written after the schema's row are checked by their writers (`schema_checks`). Tables
whose documents match for sure (5.7) are not walked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from fenchel.database.background import try_commit, wait_for_change, walk_table
from fenchel.database.database import Database
from fenchel.database.metadata import Table
from fenchel.database.schema_checks import NamespaceTableNames
from fenchel.database.schema_registry import Schema, SchemaState
from fenchel.database.schema_tables import SchemaTables
from fenchel.database.staged_types import StagedState, StagedTypes
from fenchel.database.system_tables import SCHEMAS
from fenchel.database.transaction import Transaction
from fenchel.database.types import Namespace
from fenchel.database.validation_progress import ValidationProgress, remove_stale_progress
from fenchel.definitions import TableDefinition, TableNames
from fenchel.documents import ALL_KEYS
from fenchel.persistence import Revision
from fenchel.values import Value

_log = logging.getLogger(__name__)

# What is wrong with a document, if anything is.
CheckDocument = Callable[[dict[str, Value], TableNames], str | None]


class SchemaValidator:
    """Validates pending schemas of all namespaces, one after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Until cancelled. Raises: DatabaseStopped."""
        await remove_stale_progress(self._database)
        while True:
            tx = self._database.begin()
            _record_schemas(tx)
            pending = _pending(tx)
            for namespace, schema in pending:
                await self._validate(namespace, schema)
            if pending:
                # A push waits for these, nobody for what is staged.
                continue
            staged = await _pending_staged(tx)
            if staged is None:
                await wait_for_change(self._database, self._database.token(tx))
            else:
                await self._validate_staged(*staged)

    async def _validate(self, namespace: Namespace, schema: Schema) -> None:
        walks = await self._tables_to_walk(namespace, schema)
        total = sum(document_count for _, _, document_count in walks)
        progress = ValidationProgress(self._database, namespace, schema.id_text, total)
        failure = None
        for table, definition, _ in walks:
            failure = await self._validate_table(schema, table, definition, progress)
            if failure is not None:
                break
        # A schema that was failed or overwritten meanwhile stays as it is.
        await self._finish(namespace, schema, failure, progress)
        _log.info("schema checked id=%s is_valid=%s", schema.id_text, failure is None)

    async def _tables_to_walk(
        self, namespace: Namespace, schema: Schema
    ) -> list[tuple[Table, TableDefinition, int]]:
        """Tables whose documents the schema could refuse, with the number of these."""
        if not schema.definition.schema_validation:
            return []
        tx = self._database.begin()
        walks = []
        for definition in schema.definition.tables.values():
            table = tx.metadata.by_name.get((namespace, definition.name))
            if table is not None and not await SchemaTables(tx, namespace).is_certain(definition):
                walks.append((table, definition, tx.committed_size(table)[0]))
        return walks

    async def _validate_table(
        self,
        schema: Schema,
        table: Table,
        definition: TableDefinition,
        progress: ValidationProgress,
    ) -> tuple[str, str] | None:
        """(table, message) of the first document that does not match; None if all match, or if
        nobody wants to know any more."""
        async for tx, revisions in walk_table(self._database, table):
            if not _is_pending(tx, table.namespace, schema):
                return None
            error = _first_error(tx, table, definition.check_document, revisions)
            if error is not None:
                return definition.name, error
            await progress.advance(len(revisions))
        return None

    async def _validate_staged(self, namespace: Namespace, schema: Schema, name: str) -> None:
        """Pending to valid or failed, unless a write or a push decides before."""
        definition = schema.definition.tables[name]
        table = self._database.metadata.by_name.get((namespace, name))
        error = None
        # What is enforced all documents match: this schema is active, or validated at least.
        is_certain = definition.stages_all_of(schema.definition.enforced_type(name))
        if table is not None and not is_certain:
            async for tx, revisions in walk_table(self._database, table):
                found = await StagedTypes(tx, namespace).find(schema.id_text, name)
                if found is None or found.state is not StagedState.PENDING:
                    return
                error = _first_error(tx, table, definition.check_staged, revisions)
                if error is not None:
                    break
        is_done = False
        while not is_done:
            tx = self._database.begin()
            staged = StagedTypes(tx, namespace)
            if error is None:
                await staged.mark_valid(schema.id_text, name)
            else:
                await staged.mark_failed(schema.id_text, name, error)
            is_done = await try_commit(self._database, tx)
        _log.info("staged type checked table=%s is_valid=%s", name, error is None)

    async def _finish(
        self,
        namespace: Namespace,
        schema: Schema,
        failure: tuple[str, str] | None,
        progress: ValidationProgress,
    ) -> None:
        """Pending to validated, or to failed with (table, message); retried after conflicts."""
        while True:
            tx = self._database.begin()
            await progress.remove(tx)
            schemas = SchemaTables(tx, namespace)
            if failure is None:
                await schemas.mark_validated(schema.id_text)
            else:
                table_name, error = failure
                await schemas.mark_failed(schema.id_text, table_name=table_name, error=error)
            if await try_commit(self._database, tx):
                return


def _record_schemas(tx: Transaction) -> None:
    """Depend on the schemas of all namespaces, and on which namespaces there are."""
    tables = tx.metadata.root_table("_tables")
    tx.record(tables, tx.metadata.by_id_index(tables.tablet_id), ALL_KEYS)
    for table in tx.metadata.by_name.values():
        if table.name == SCHEMAS:
            tx.record(table, tx.metadata.by_id_index(table.tablet_id), ALL_KEYS)


def _pending(tx: Transaction) -> list[tuple[Namespace, Schema]]:
    return [
        (namespace, schemas.pending)
        for namespace, schemas in tx.metadata.schemas.by_namespace.items()
        if schemas.pending is not None and schemas.pending.state is SchemaState.PENDING
    ]


async def _pending_staged(tx: Transaction) -> tuple[Namespace, Schema, str] | None:
    """A table whose documents have to be compared with what a schema stages."""
    for namespace, schemas in tx.metadata.schemas.by_namespace.items():
        for schema in (schemas.active, schemas.pending):
            found = [] if schema is None else await StagedTypes(tx, namespace).list(schema.id_text)
            for validation in found:
                if schema is not None and validation.state is StagedState.PENDING:
                    return namespace, schema, validation.table_name
    return None


def _first_error(
    tx: Transaction, table: Table, check: CheckDocument, revisions: Iterable[Revision]
) -> str | None:
    names = NamespaceTableNames(tx.metadata, table.namespace, tx.virtual_tables)
    for revision in revisions:
        detail = check(revision.document.value, names)
        if detail is not None:
            return (
                f'Document with ID "{revision.document.id_text}" in table "{table.name}" '
                f"does not match the schema: {detail}"
            )
    return None


def _is_pending(tx: Transaction, namespace: Namespace, schema: Schema) -> bool:
    return any(known.id_text == schema.id_text for _, known in _pending(tx))
