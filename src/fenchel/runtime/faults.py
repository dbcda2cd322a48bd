"""Named places where a test may make the system wait, fail or stop.

Production code calls `faults.reach("committer.before_persist")`; without an armed handler that is a
dictionary look-up. The names are part of the code that offers them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

FaultHandler = Callable[[], Awaitable[None]]


class FaultPoints:
    """Handlers by name. Start value: none; `arm` sets one, `disarm` removes it."""

    def __init__(self) -> None:
        self._handlers: dict[str, FaultHandler] = {}

    def arm(self, name: str, handler: FaultHandler) -> None:
        self._handlers[name] = handler

    def disarm(self, name: str) -> None:
        self._handlers.pop(name, None)

    async def reach(self, name: str) -> None:
        """Run the handler armed for `name`, if any; whatever it raises happens at this place."""
        handler = self._handlers.get(name)
        if handler is not None:
            await handler()
