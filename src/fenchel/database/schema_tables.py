"""Schemas of a namespace through a push: submitted, validated or failed, applied.

Source: database specification 5.6.
"""

from __future__ import annotations

from fenchel.database.schema_registry import Schema, SchemaState, decode_schema_row
from fenchel.database.staged_types import StagedTypes
from fenchel.database.system_tables import SCHEMAS
from fenchel.database.table_creation import create_table
from fenchel.database.transaction import Transaction
from fenchel.database.types import BY_ID, ROOT, Namespace
from fenchel.definitions import SchemaDefinition, TableDefinition, decode_schema
from fenchel.documents import ALL_KEYS
from fenchel.errors import FenchelError, bad_request
from fenchel.values import Value

_FINISHED_STATES = (SchemaState.FAILED, SchemaState.OVERWRITTEN)
_FINISHED_MILLISECONDS_MAX = 3_600_000.0


class SchemaTables:
    """The `_schemas` rows of one namespace, through a transaction."""

    def __init__(self, tx: Transaction, namespace: Namespace = ROOT) -> None:
        self._tx = tx
        self._namespace = namespace
        self._rows = tx.system(namespace)
        self._staged = StagedTypes(tx, namespace)

    async def get(self, schema_id: str) -> Schema | None:
        """The schema in any state; None if the row is gone."""
        document = await self._rows.get(SCHEMAS, schema_id)
        return None if document is None else decode_schema_row(document)

    async def get_active(self) -> Schema | None:
        """The schema that writes must obey."""
        self._record_all()
        return self._tx.metadata.schemas.of(self._namespace).active

    async def get_pending(self) -> Schema | None:
        """The schema that is being validated, or is validated and waits for its push."""
        self._record_all()
        return self._tx.metadata.schemas.of(self._namespace).pending

    async def submit(self, schema_json: str) -> tuple[str, SchemaState]:
        """The id and state of a row with this schema, an old one if it fits; creates its tables.

        Raises: the bad requests of `decode_schema`, TooManyTables,
        StagedSchemaWithEnforcedValidatorChanges.
        """
        await self.check_staged(decode_schema(schema_json))
        for table_name in decode_schema(schema_json).tables:
            if self._tx.find_table(self._namespace, table_name) is None:
                create_table(self._tx, self._namespace, table_name)
        await self._delete_finished()
        active, pending = await self.get_active(), await self.get_pending()
        is_active = active is not None and active.schema_json == schema_json
        if pending is not None and pending.schema_json == schema_json and not is_active:
            await self._staged.restart_failed(pending.id_text)
            return pending.id_text, pending.state
        if active is not None and is_active:
            await self._overwrite(pending)
            await self._staged.restart_failed(active.id_text)
            return active.id_text, SchemaState.ACTIVE
        row = _encode_row(SchemaState.PENDING, schema_json)
        schema_id = await self._rows.insert(SCHEMAS, row)
        former = [schema for schema in (active, pending) if schema is not None]
        await self._staged.begin(schema_id, decode_schema(schema_json), former)
        await self._overwrite(pending)
        return schema_id, SchemaState.PENDING

    async def is_certain(self, definition: TableDefinition) -> bool:
        """Whether all documents of the table surely match: there are none, or what is enforced,
        or was found while it was staged, asks no less (specification 5.7)."""
        active = await self.get_active()
        name = definition.name
        enforced = None if active is None else active.definition.enforced_type(name)
        if definition.accepts_all_of(enforced):
            return True
        staged = await self._staged.find_valid(active, name)
        if staged is not None and definition.accepts_all_of(staged.staged_type):
            return True
        table = self._tx.find_table(self._namespace, name)
        return table is None or self._tx.document_count(table) == 0

    async def check_staged(self, definition: SchemaDefinition) -> None:
        """Raises: StagedSchemaWithEnforcedValidatorChanges if a table would be walked twice."""
        if not definition.schema_validation:
            return
        walked = [
            table.name
            for table in definition.tables.values()
            if table.staged_type is not None and not await self.is_certain(table)
        ]
        if walked:
            raise bad_request(
                "StagedSchemaWithEnforcedValidatorChanges",
                "Cannot stage validators on tables whose enforced validator change needs their "
                f"documents walked: {', '.join(walked)}. Put the whole change in the staged "
                "validator instead, so the table is walked once, in the background.",
            )

    async def discard_pending(self) -> None:
        """Overwrite the pending schema with nothing: its push is told that it lost a race."""
        pending = await self.get_pending()
        if pending is not None:
            await self._set_state(pending, SchemaState.OVERWRITTEN)

    async def mark_validated(self, schema_id: str) -> None:
        """Pending to validated; nothing happens in any other state."""
        schema = await self.get(schema_id)
        if schema is not None and schema.state is SchemaState.PENDING:
            await self._set_state(schema, SchemaState.VALIDATED)

    async def mark_failed(self, schema_id: str, *, table_name: str, error: str) -> None:
        """Pending or validated to failed; nothing happens in any other state."""
        schema = await self.get(schema_id)
        if schema is not None and schema.state in (SchemaState.PENDING, SchemaState.VALIDATED):
            row = _encode_row(
                SchemaState.FAILED, schema.schema_json, error=error, tableName=table_name
            )
            await self._rows.replace(SCHEMAS, schema.id_text, row)

    async def apply(self, schema_id: str | None) -> None:
        """Make the schema active, or have none; the former active one is overwritten.

        Raises: SchemaNotFound, SchemaNotValidated, SchemaAlreadyFailed, SchemaAlreadyOverwritten.
        """
        active = await self.get_active()
        if active is not None and active.id_text != schema_id:
            await self._overwrite(active)
        if schema_id is None:
            return
        schema = await self.get(schema_id)
        if schema is None:
            raise bad_request("SchemaNotFound", "The schema no longer exists. Push again.")
        if schema.state is SchemaState.ACTIVE:
            return
        if schema.state is not SchemaState.VALIDATED:
            raise _not_applicable(schema)
        await self._set_state(schema, SchemaState.ACTIVE)

    async def _overwrite(self, schema: Schema | None) -> None:
        if schema is not None:
            await self._set_state(schema, SchemaState.OVERWRITTEN)
            await self._staged.remove(schema.id_text)

    async def _set_state(self, schema: Schema, state: SchemaState) -> None:
        row = _encode_row(state, schema.schema_json)
        await self._rows.replace(SCHEMAS, schema.id_text, row)

    async def _delete_finished(self) -> None:
        now = self._tx.next_creation_time()
        for document in await self._rows.query(SCHEMAS, BY_ID):
            is_old = now - document.creation_time > _FINISHED_MILLISECONDS_MAX
            if is_old and decode_schema_row(document).state in _FINISHED_STATES:
                await self._staged.remove(document.id_text)
                await self._rows.delete(SCHEMAS, document.id_text)

    def _record_all(self) -> None:
        table = self._tx.find_table(self._namespace, SCHEMAS)
        if table is not None:
            self._tx.record(table, self._tx.metadata.by_id_index(table.tablet_id), ALL_KEYS)


def _encode_row(state: SchemaState, schema_json: str, **details: Value) -> dict[str, Value]:
    return {"state": {"state": state.value, **details}, "schema": schema_json}


def _not_applicable(schema: Schema) -> FenchelError:
    if schema.state is SchemaState.FAILED:
        return bad_request(
            "SchemaAlreadyFailed", f"Schema has already been failed with error: {schema.error}"
        )
    if schema.state is SchemaState.OVERWRITTEN:
        return bad_request("SchemaAlreadyOverwritten", "Schema has already been overwritten.")
    return bad_request("SchemaNotValidated", "The schema is still being validated.")
