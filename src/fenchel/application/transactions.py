"""Small transactions of the backend itself: run again after a conflict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fenchel.application.waiting import backoff_seconds
from fenchel.database import Database, Transaction
from fenchel.documents import Timestamp
from fenchel.errors import ConflictError
from fenchel.runtime import Runtime

Result = TypeVar("Result")
Work = Callable[[Transaction], Awaitable[Result]]

_RETRIES_MAX = 10


async def run_transaction(
    database: Database,
    runtime: Runtime,
    work: Work[Result],
    *,
    write_source: str | None = None,
) -> Result:
    """What `work` returned in the attempt that was committed; it runs at most eleven times.

    `work` must have no effect outside its transaction. Raises what `work` raises; ConflictError
    when the retries are used up.
    """
    settings = runtime.settings.application
    attempt = 0
    while True:
        tx = database.begin()
        result = await work(tx)
        try:
            await database.commit(tx, write_source=write_source)
        except ConflictError as conflict:
            if attempt >= _RETRIES_MAX:
                raise
            delay_seconds = backoff_seconds(
                runtime,
                attempt,
                initial_seconds=settings.occ_backoff_seconds_initial,
                seconds_max=settings.occ_backoff_seconds_max,
            )
            await runtime.clock.sleep(delay_seconds)
            await database.wait_for_ts(Timestamp(conflict.source.write_ts))
            attempt += 1
        else:
            return result
