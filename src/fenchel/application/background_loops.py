"""Endless loops behind the application, which must not die silently."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fenchel.application.waiting import backoff_seconds
from fenchel.errors import FenchelError
from fenchel.runtime import Runtime

_log = logging.getLogger(__name__)

_RESTART_SECONDS_INITIAL = 0.5
_RESTART_SECONDS_MAX = 30.0


async def supervise(runtime: Runtime, name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run an endless loop, and again after a failure, until cancelled. Who ran for a while before
    it failed is not made to wait for what failed long ago.
    """
    attempt = 0
    while True:
        start = runtime.clock.monotonic()
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost frame of the loop's task
            _log.error(
                "background loop failed loop=%s attempt=%d error=%s",
                name,
                attempt,
                error,
                exc_info=not _says_what_it_is(error),
            )
        if runtime.clock.monotonic() - start > _RESTART_SECONDS_MAX:
            attempt = 0
        delay_seconds = backoff_seconds(
            runtime,
            attempt,
            initial_seconds=_RESTART_SECONDS_INITIAL,
            seconds_max=_RESTART_SECONDS_MAX,
        )
        await runtime.clock.sleep(delay_seconds)
        attempt += 1


def _says_what_it_is(error: Exception) -> bool:
    """A database that another server has taken over, or that is full: no stack helps there."""
    return isinstance(error, FenchelError) and error.code != "InternalServerError"
