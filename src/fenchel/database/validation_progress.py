"""How far the validation of a pending schema has come: one row of `_schema_validation_progress`.

Source: database specification 5.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fenchel.database.background import try_commit
from fenchel.database.system_tables import SCHEMA_VALIDATION_PROGRESS
from fenchel.database.types import Namespace
from fenchel.documents import Document
from fenchel.values import Value

if TYPE_CHECKING:
    from fenchel.database.database import Database
    from fenchel.database.transaction import Transaction

_BY_SCHEMA_ID = "by_schema_id"


class ValidationProgress:
    """Starts at 0 of `total_documents`, which is a guess: others write meanwhile.

    The row appears with the first documents and goes with the end of the validation; one that a
    crash left behind is taken over.
    """

    def __init__(
        self, database: Database, namespace: Namespace, schema_id: str, total_documents: int
    ) -> None:
        self._database = database
        self._namespace = namespace
        self._schema_id = schema_id
        self._total_documents = total_documents
        self._validated_documents = 0

    async def advance(self, document_count: int) -> None:
        """So many more documents match."""
        self._validated_documents += document_count
        row: dict[str, Value] = {
            "schemaId": self._schema_id,
            "num_docs_validated": self._validated_documents,
            "total_docs": self._total_documents,
        }
        while True:
            tx = self._database.begin()
            rows = tx.system(self._namespace)
            known = await self._find(tx)
            if known:
                await rows.replace(SCHEMA_VALIDATION_PROGRESS, known[0].id_text, row)
            else:
                await rows.insert(SCHEMA_VALIDATION_PROGRESS, row)
            if await try_commit(self._database, tx):
                return

    async def remove(self, tx: Transaction) -> None:
        """Remove the row in the transaction that ends the validation."""
        for document in await self._find(tx):
            rows = tx.system(self._namespace)
            await rows.delete(SCHEMA_VALIDATION_PROGRESS, document.id_text)

    async def _find(self, tx: Transaction) -> list[Document]:
        return await tx.system(self._namespace).query(
            SCHEMA_VALIDATION_PROGRESS, _BY_SCHEMA_ID, [self._schema_id]
        )


async def remove_stale_progress(database: Database) -> None:
    """Remove rows of schemas that were failed or overwritten while nobody was validating."""
    while True:
        tx = database.begin()
        for namespace, schemas in tx.metadata.schemas.by_namespace.items():
            pending_id = None if schemas.pending is None else schemas.pending.id_text
            rows = tx.system(namespace)
            for document in await rows.query(SCHEMA_VALIDATION_PROGRESS, _BY_SCHEMA_ID):
                if document.value["schemaId"] != pending_id:
                    await rows.delete(SCHEMA_VALIDATION_PROGRESS, document.id_text)
        if await try_commit(database, tx):
            return
