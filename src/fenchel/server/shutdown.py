"""Lets requests that only wait for news end at once when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fenchel.errors import overloaded

_Result = TypeVar("_Result")


class Shutdown:
    """Start value: not begun; `begin` is final."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        self._begun.set()

    async def wait_unless_begun(self, waiting: Coroutine[Any, Any, _Result]) -> _Result:
        """What `waiting` gives. Raises: ServerShutdown, after which the client asks again."""
        work = asyncio.create_task(waiting, name="long poll")
        stop = asyncio.create_task(self._begun.wait(), name="shutdown")
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise overloaded("ServerShutdown", "The server is going away. Try again.")
        finally:
            stop.cancel()
            work.cancel()
            await asyncio.wait({work, stop})
