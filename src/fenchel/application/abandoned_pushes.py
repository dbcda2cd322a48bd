"""Forgetting what a push prepared that nobody finishes (deploy-protocol 2.13)."""

from __future__ import annotations

from fenchel.database import IndexTables, SchemaTables, TableAdmin, Transaction
from fenchel.definitions import EMPTY_SCHEMA, decode_schema


async def roll_back_pushes(tx: Transaction) -> None:
    """Pending schemas and the indexes that only they declare go; no push may be under way.

    Writes nothing where nothing is pending. Tables that a push created stay, as empty as they are:
    documents may have been written to them since.
    """
    for namespace in TableAdmin(tx).list_namespaces():
        schemas = SchemaTables(tx, namespace)
        await schemas.discard_pending()
        active = await schemas.get_active()
        wanted = EMPTY_SCHEMA if active is None else decode_schema(active.schema_json)
        await IndexTables(tx, namespace).prepare(wanted)
