"""Waiting until a push's schema is validated and its indexes are filled (deploy-protocol 2.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from fenchel.application.deploy_messages import (
    SchemaComplete,
    SchemaFailed,
    SchemaInProgress,
    SchemaProgress,
    SchemaRaceDetected,
    SchemaStatus,
)
from fenchel.application.push_state import PendingPush
from fenchel.application.waiting import wait_for_change
from fenchel.database import (
    Database,
    IndexTables,
    Namespace,
    SchemaState,
    SchemaTables,
    Transaction,
)
from fenchel.runtime import Clock

_WAIT_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaWaiter:
    database: Database
    clock: Clock

    async def wait(self, push: PendingPush, *, timeout_seconds: float) -> SchemaStatus:
        """The status once it is final, or the progress when the time is over."""
        deadline = self.clock.monotonic() + min(timeout_seconds, _WAIT_SECONDS_MAX)
        while True:
            tx = self.database.begin()
            status = await _status(tx, push)
            rest_seconds = deadline - self.clock.monotonic()
            if not isinstance(status, SchemaInProgress) or rest_seconds <= 0:
                return status
            await wait_for_change(self.database, self.database.token(tx), self.clock, rest_seconds)


async def _status(tx: Transaction, push: PendingPush) -> SchemaStatus:
    """What the components say together; the first failure decides."""
    components: dict[str, SchemaProgress] = {}
    for component, schema_id in push.schema_ids.items():
        status = await _component_status(tx, component, schema_id)
        if not isinstance(status, SchemaProgress):
            return status
        components[component] = status
    is_complete = all(
        p.schema_validation_complete and p.indexes_complete == p.indexes_total
        for p in components.values()
    )
    return SchemaComplete() if is_complete else SchemaInProgress(components=components)


async def _component_status(
    tx: Transaction, component: Namespace, schema_id: str | None
) -> SchemaProgress | SchemaFailed | SchemaRaceDetected:
    is_validated = True
    if schema_id is not None:
        schema = await SchemaTables(tx, component).get(schema_id)
        if schema is None:
            return SchemaRaceDetected()
        match schema.state:
            case SchemaState.FAILED:
                return SchemaFailed(
                    error=schema.error or "",
                    component_path=component,
                    table_name=schema.table_name,
                )
            case SchemaState.OVERWRITTEN:
                return SchemaRaceDetected()
            case SchemaState.PENDING:
                is_validated = False
            case SchemaState.VALIDATED | SchemaState.ACTIVE:
                pass
            case _:
                assert_never(schema.state)
    complete, total = await IndexTables(tx, component).count_filled()
    return SchemaProgress(
        schema_validation_complete=is_validated, indexes_complete=complete, indexes_total=total
    )
