"""Small transactions of the backend itself: run again after a conflict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fenchel.application.waiting import backoff_seconds
from fenchel.database import Database, Transaction
from fenchel.documents import Timestamp
from fenchel.errors import ConflictError, overloaded
from fenchel.runtime import Runtime

Result = TypeVar("Result")
Work = Callable[[Transaction], Awaitable[Result]]

_RETRIES_MAX = 10
_READABLE_SECONDS_MAX = 30.0


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
    attempt = 0
    while True:
        tx = database.begin()
        result = await work(tx)
        try:
            await database.commit(tx, write_source=write_source)
        except ConflictError as conflict:
            if attempt >= _RETRIES_MAX:
                raise
            await wait_after_conflict(database, runtime, conflict, attempt)
            attempt += 1
        else:
            return result


async def wait_after_conflict(
    database: Database,
    runtime: Runtime,
    conflict: ConflictError,
    attempt: int,
    *,
    seconds_max: float | None = None,
) -> None:
    """Back off, then wait until the conflicting write can be read (execution 4.6).

    `attempt` counts from 0. Raises: OVERLOADED if that write does not become readable in time.
    """
    settings = runtime.settings.application
    delay_seconds = backoff_seconds(
        runtime,
        attempt,
        initial_seconds=settings.occ_backoff_seconds_initial,
        seconds_max=seconds_max or settings.occ_backoff_seconds_max,
    )
    await runtime.clock.sleep(delay_seconds)
    try:
        async with asyncio.timeout(_READABLE_SECONDS_MAX):
            await database.wait_for_ts(Timestamp(conflict.source.write_ts))
    except TimeoutError as error:
        raise overloaded(
            "CommitTooSlow", "A conflicting write takes too long to become readable. Try again."
        ) from error
