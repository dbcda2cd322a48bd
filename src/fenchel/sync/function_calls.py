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
# doubling).
_REFUSED = frozenset(
    {ErrorKind.OVERLOADED, ErrorKind.REJECTED_BEFORE_EXECUTION, ErrorKind.FEATURE_UNAVAILABLE}
)
RETRIES_MAX = 4
BACKOFF_SECONDS_INITIAL = 0.5

_Result = TypeVar("_Result")


async def run_with_retries(runtime: Runtime, run: Callable[[], Awaitable[_Result]]) -> _Result:
    """What `run` gives; again, up to RETRIES_MAX times, while the system refuses to take it on."""
    for attempt in range(RETRIES_MAX):
        try:
            return await run()
        except FenchelError as error:
            if error.kind not in _REFUSED:
                raise
            logger.info("refused, will retry code=%s attempt=%d", error.code, attempt)
        jitter = 0.5 + runtime.randomness.uniform()
        await runtime.clock.sleep(BACKOFF_SECONDS_INITIAL * 2**attempt * jitter)
    return await run()


def session_request_id(session_id: str, request_id: int) -> str:
    """The request id of a mutation or action: the same whenever it is sent again (section 5)."""
    return hashlib.sha256(f"{session_id}|{request_id}".encode()).hexdigest()[:16]


def random_request_id(runtime: Runtime) -> str:
    return runtime.randomness.token_bytes(8).hex()
