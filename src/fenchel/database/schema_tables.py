"""Schemas of a namespace through a push: submitted, validated or failed, applied.

Source: database specification 5.6.
"""

from __future__ import annotations

from fenchel.database.schema_registry import Schema, SchemaState, decode_schema_row
from fenchel.database.system_tables import SCHEMAS
from fenchel.database.table_creation import create_table
from fenchel.database.transaction import Transaction
from fenchel.database.types import BY_ID, ROOT, Namespace
from fenchel.definitions import decode_schema
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

        Raises: the bad requests of `decode_schema`, TooManyTables.
        """
        for table_name in decode_schema(schema_json).tables:
            if self._tx.find_table(self._namespace, table_name) is None:
                create_table(self._tx, self._namespace, table_name)
        await self._delete_finished()
        active, pending = await self.get_active(), await self.get_pending()
        is_active = active is not None and active.schema_json == schema_json
        if pending is not None:
            if pending.schema_json == schema_json and not is_active:
                return pending.id_text, pending.state
            await self._set_state(pending, SchemaState.OVERWRITTEN)
        if active is not None and is_active:
            return active.id_text, SchemaState.ACTIVE
        row = _encode_row(SchemaState.PENDING, schema_json)
        return await self._rows.insert(SCHEMAS, row), SchemaState.PENDING

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
            await self._set_state(active, SchemaState.OVERWRITTEN)
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

    async def _set_state(self, schema: Schema, state: SchemaState) -> None:
        row = _encode_row(state, schema.schema_json)
        await self._rows.replace(SCHEMAS, schema.id_text, row)

    async def _delete_finished(self) -> None:
        now = self._tx.next_creation_time()
        for document in await self._rows.query(SCHEMAS, BY_ID):
            is_old = now - document.creation_time > _FINISHED_MILLISECONDS_MAX
            if is_old and decode_schema_row(document).state in _FINISHED_STATES:
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
