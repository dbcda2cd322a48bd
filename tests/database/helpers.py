"""The words of the database's tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fenchel.database import (
    Database,
    IndexBackfiller,
    IndexTables,
    QueryStream,
    SchemaTables,
    SchemaValidator,
    Transaction,
)
from fenchel.definitions import decode_schema
from fenchel.documents import Timestamp
from fenchel.errors import ConflictError
from fenchel.values import Value


def scan(table: str, *operators: dict[str, Any], order: str | None = None) -> dict[str, Any]:
    """The AST of a full table scan."""
    source = {"type": "FullTableScan", "tableName": table, "order": order}
    return {"source": source, "operators": list(operators)}


def index_range(
    index: str, *conditions: tuple[str, str, Any], order: str | None = None
) -> dict[str, Any]:
    """The AST of an index query; conditions are (field, operator, value JSON)."""
    expressions = [
        {"type": operator, "fieldPath": field, "value": value}
        for field, operator, value in conditions
    ]
    source = {"type": "IndexRange", "indexName": index, "range": expressions, "order": order}
    return {"source": source, "operators": []}


def limit(count: int) -> dict[str, Any]:
    return {"limit": count}


def where(expression: dict[str, Any]) -> dict[str, Any]:
    return {"filter": expression}


def field_equals(name: str, value: Any) -> dict[str, Any]:
    return where({"$eq": [{"$field": name}, {"$literal": value}]})


async def drain(stream: QueryStream, field: str = "n") -> list[Value]:
    """That field of all documents of the stream, read to its end."""
    values = []
    while (document := await stream.next()) is not None:
        values.append(document.value.get(field))
    return values


async def query(tx: Transaction, ast: dict[str, Any], field: str = "n") -> list[Value]:
    return await drain(tx.user().open_stream(ast), field)


async def insert(database: Database, table: str, *values: Mapping[str, Value]) -> list[str]:
    """Ids of documents inserted in one commit."""
    tx = database.begin()
    ids = [await tx.user().insert(table, dict(value)) for value in values]
    await database.commit(tx)
    return ids


async def patch(database: Database, id_text: str, **fields: Value) -> Timestamp:
    """One commit, tried again after conflicts (a push changes indexes under it)."""
    while True:
        tx = database.begin()
        await tx.user().patch(id_text, {**fields})
        try:
            return await database.commit(tx)
        except ConflictError as conflict:
            await database.wait_for_ts(Timestamp(conflict.source.write_ts))


def is_invalidated(database: Database, tx: Transaction) -> bool:
    """Whether a later commit touched what `tx` read: what conflicts and tokens both ask."""
    return database.refresh(database.token(tx), database.latest_ts()) is None


def schema(tables: dict[str, Any], *, validation: bool = True) -> str:
    """Schema JSON; each table gives `indexes` by name, `staged` ones, a `type` (validator)
    and a `staged_type`."""
    encoded = [
        {
            "tableName": name,
            "indexes": _indexes(table.get("indexes", {})),
            "stagedDbIndexes": _indexes(table.get("staged", {})),
            "searchIndexes": [],
            "vectorIndexes": [],
            "documentType": table.get("type", {"type": "any"}),
            "stagedDocumentType": table.get("staged_type"),
        }
        for name, table in tables.items()
    ]
    return json.dumps({"tables": encoded, "schemaValidation": validation})


def _indexes(fields_by_name: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [{"indexDescriptor": name, "fields": fields} for name, fields in fields_by_name.items()]


def object_type(**fields: str) -> dict[str, Any]:
    """An object validator with required fields of simple types."""
    return {
        "type": "object",
        "value": {
            name: {"fieldType": {"type": kind}, "optional": False} for name, kind in fields.items()
        },
    }


async def start_push(database: Database, schema_json: str) -> str:
    """Submit the schema and prepare its indexes, as the start of a push does."""
    tx = database.begin()
    schema_id, _ = await SchemaTables(tx).submit(schema_json)
    await IndexTables(tx).prepare(decode_schema(schema_json))
    await database.commit(tx)
    return schema_id


async def finish_push(database: Database, schema_json: str, schema_id: str) -> None:
    tx = database.begin()
    await SchemaTables(tx).apply(schema_id)
    await IndexTables(tx).finish(decode_schema(schema_json))
    await database.commit(tx)


@asynccontextmanager
async def workers(database: Database) -> AsyncIterator[None]:
    """The background workers of pushes, running."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(IndexBackfiller(database).run(), name="backfiller"),
            group.create_task(SchemaValidator(database).run(), name="validator"),
        ]
        yield
        for task in tasks:
            task.cancel()


async def push(database: Database, schema_json: str) -> None:
    """A whole push: start, wait for the workers, finish."""
    async with workers(database):
        schema_id = await start_push(database, schema_json)
        await until_ready(database, schema_id)
    await finish_push(database, schema_json, schema_id)


async def until_ready(database: Database, schema_id: str) -> None:
    """Return when the workers have nothing left to do for the schema."""
    while True:
        tx = database.begin()
        state = await SchemaTables(tx).get(schema_id)
        filled, total = await IndexTables(tx).count_filled()
        assert state is not None
        if state.state.value != "pending" and filled == total:
            return
        changed = asyncio.Event()
        subscription = database.subscribe(
            database.token(tx),
            lambda _, event=changed: event.set(),  # type: ignore[misc]
        )
        await changed.wait()
        subscription.close()
