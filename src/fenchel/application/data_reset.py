"""Test mode's way back to an empty deployment: data gone, code, schema and indexes as they are."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application.transactions import run_transaction
from fenchel.database import Database, TableAdmin, Transaction
from fenchel.model import forget_runtime_rows
from fenchel.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class DataResetter:
    database: Database
    runtime: Runtime

    async def reset(self) -> None:
        """In one transaction: documents, scheduled functions, files and answers to clients go, and
        crons count from now. Live queries see it like any other commit.

        What runs meanwhile is a transaction before or after it; an action may write afterwards.
        """
        await run_transaction(
            self.database, self.runtime, self._forget, write_source="_system/reset"
        )

    async def _forget(self, tx: Transaction) -> None:
        now_ns = self.runtime.clock.now_ns()
        for namespace in {namespace for namespace, _ in tx.metadata.by_name}:
            tables = TableAdmin(tx, namespace)
            for table in tables.list_user_tables():
                await tables.empty(table)
            await forget_runtime_rows(tx, now_ns=now_ns, namespace=namespace)
