"""Staged document types: what a table's documents shall be one day, compared with all of them in
the background and refusing nothing (database specification 5.1).

A row of `_schema_validations` for each table of a schema that stages a type. It begins as pending;
the schema validator makes it valid when every document matches, or failed at the first that does
not; so does any later write that does not match, while the write itself succeeds. A valid one
spares the push that enforces it the walk through the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, cast

from fenchel.database.schema_registry import Schema
from fenchel.database.system_tables import SCHEMA_VALIDATIONS
from fenchel.database.types import Namespace
from fenchel.definitions import SchemaDefinition, TableDefinition
from fenchel.documents import Document
from fenchel.values import Value

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction

_BY_SCHEMA = "by_schema_id_and_table"


class StagedState(Enum):
    """Pending to valid or failed by the worker; valid to failed by a write; back to pending by a
    push of the same schema."""

    PENDING = "pending"
    VALID = "valid"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedValidation:
    """How documents compare with the staged type of one table. `error` says why it failed."""

    id_text: str
    schema_id: str
    table_name: str
    validator_hash: str
    state: StagedState
    error: str | None = None


class StagedTypes:
    """The `_schema_validations` rows of one namespace, through a transaction."""

    def __init__(self, tx: Transaction, namespace: Namespace) -> None:
        self._rows = tx.system(namespace)

    async def list(self, schema_id: str) -> list[StagedValidation]:
        """Those of one schema, ascending by table name."""
        rows = await self._rows.query(SCHEMA_VALIDATIONS, _BY_SCHEMA, [schema_id])
        return [_decode(row) for row in rows]

    async def find(self, schema_id: str, table_name: str) -> StagedValidation | None:
        rows = await self._rows.query(SCHEMA_VALIDATIONS, _BY_SCHEMA, [schema_id, table_name])
        return _decode(rows[0]) if rows else None

    async def find_valid(self, schema: Schema | None, table_name: str) -> TableDefinition | None:
        """The table of the schema if all documents match what it stages."""
        table = None if schema is None else schema.definition.tables.get(table_name)
        if schema is None or table is None or table.staged_type is None:
            return None
        found = await self.find(schema.id_text, table_name)
        return table if found is not None and found.state is StagedState.VALID else None

    async def begin(
        self, schema_id: str, definition: SchemaDefinition, former: Iterable[Schema]
    ) -> None:
        """Rows for a new schema. What `former` ones have proven of a type that accepts no more
        than the new one need not be proven again."""
        schemas = list(former)
        for table in definition.tables.values():
            if table.staged_hash is None:
                continue
            proven = [await self.find_valid(schema, table.name) for schema in schemas]
            is_proven = any(p is not None and table.stages_all_of(p.staged_type) for p in proven)
            state = StagedState.VALID if is_proven else StagedState.PENDING
            row = _encode(schema_id, table.name, table.staged_hash, state)
            await self._rows.insert(SCHEMA_VALIDATIONS, row)

    async def restart_failed(self, schema_id: str) -> None:
        """Compare once more: the same schema was pushed again."""
        for validation in await self.list(schema_id):
            if validation.state is StagedState.FAILED:
                await self._set(validation, StagedState.PENDING)

    async def mark_valid(self, schema_id: str, table_name: str) -> None:
        """Pending to valid; nothing happens in any other state."""
        found = await self.find(schema_id, table_name)
        if found is not None and found.state is StagedState.PENDING:
            await self._set(found, StagedState.VALID)

    async def mark_failed(self, schema_id: str, table_name: str, error: str) -> None:
        """Pending or valid to failed; the first error stays."""
        found = await self.find(schema_id, table_name)
        if found is not None and found.state is not StagedState.FAILED:
            await self._set(found, StagedState.FAILED, error)

    async def remove(self, schema_id: str) -> None:
        """The schema will not become active any more."""
        for validation in await self.list(schema_id):
            await self._rows.delete(SCHEMA_VALIDATIONS, validation.id_text)

    async def _set(
        self, validation: StagedValidation, state: StagedState, error: str | None = None
    ) -> None:
        row = _encode(
            validation.schema_id, validation.table_name, validation.validator_hash, state, error
        )
        await self._rows.replace(SCHEMA_VALIDATIONS, validation.id_text, row)


async def fail_references(tx: Transaction, namespace: Namespace, deleted: str) -> None:
    """A table goes: staged types that its ids matched may not match any more."""
    schemas = tx.metadata.schemas.of(namespace)
    staged = StagedTypes(tx, namespace)
    for schema in (schemas.active, schemas.pending):
        tables = () if schema is None else schema.definition.tables.values()
        for table in tables:
            if schema is not None and deleted in table.staged_references:
                await staged.mark_failed(
                    schema.id_text,
                    table.name,
                    f"Table {deleted} is referenced by the staged validator for {table.name} but "
                    f"was deleted or replaced; redeploy to revalidate {table.name}.",
                )


def _encode(
    schema_id: str,
    table_name: str,
    validator_hash: str,
    state: StagedState,
    error: str | None = None,
) -> dict[str, Value]:
    details: dict[str, Value] = {} if error is None else {"error": error}
    return {
        "schemaId": schema_id,
        "tableName": table_name,
        "validatorHash": validator_hash,
        "state": {"state": state.value, **details},
    }


def _decode(document: Document) -> StagedValidation:
    value = cast("dict[str, str]", document.value)
    state = cast("dict[str, str]", document.value["state"])
    return StagedValidation(
        id_text=document.id_text,
        schema_id=value["schemaId"],
        table_name=value["tableName"],
        validator_hash=value["validatorHash"],
        state=StagedState(state["state"]),
        error=state.get("error"),
    )
