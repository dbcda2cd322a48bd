"""Calling the application for one client: request ids, and retries of refused work."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime import Runtime

logger = logging.getLogger(__name__)

# Nothing was started or kept, so the same request may be made again (3.8: from 500 ms on,
# doubling). Live queries do not wait here for what is temporarily unavailable: others would, too.
QUERY_REFUSALS = frozenset({ErrorKind.OVERLOADED, ErrorKind.REJECTED_BEFORE_EXECUTION})
REQUEST_REFUSALS = QUERY_REFUSALS | {ErrorKind.FEATURE_UNAVAILABLE}
BACKOFF_SECONDS_INITIAL = 0.5
BACKOFF_SECONDS_MAX = 60.0
# A client waits for a response: about eight seconds. A live query has a result already, and closing
# its connection would only make an overloaded server do more: about ten minutes.
REQUEST_RETRIES_MAX = 4
QUERY_RETRIES_MAX = 16

_Result = TypeVar("_Result")


async def run_with_retries(
    runtime: Runtime,
    run: Callable[[], Awaitable[_Result]],
    *,
    retries_max: int = REQUEST_RETRIES_MAX,
    refusals: frozenset[ErrorKind] = REQUEST_REFUSALS,
) -> _Result:
    """What `run` gives; again, up to `retries_max` times, while the system refuses to take it."""
    for attempt in range(retries_max):
        try:
            return await run()
        except FenchelError as error:
            if error.kind not in refusals:
                raise
            logger.info("refused, will retry code=%s attempt=%d", error.code, attempt)
        jitter = 0.5 + runtime.randomness.uniform()
        seconds = min(BACKOFF_SECONDS_INITIAL * 2**attempt, BACKOFF_SECONDS_MAX)
        await runtime.clock.sleep(seconds * jitter)
    return await run()


def session_request_id(session_id: str, request_id: int) -> str:
    """The request id of a mutation or action: the same whenever it is sent again (section 5)."""
    return hashlib.sha256(f"{session_id}|{request_id}".encode()).hexdigest()[:16]


def random_request_id(runtime: Runtime) -> str:
    return runtime.randomness.token_bytes(8).hex()
