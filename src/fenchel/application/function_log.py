"""The stream of finished executions that `convex logs` reads (deploy-protocol 3.4)."""

from __future__ import annotations

from typing import Any

import msgspec


class FunctionLogPage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Answer of stream_function_logs; `new_cursor` is in milliseconds."""

    entries: tuple[dict[str, Any], ...]
    new_cursor: float


class FunctionLog:
    async def stream(self, cursor_ms: float, *, is_structured: bool) -> FunctionLogPage:
        """Entries newer than the cursor; waits up to 60 s for one. Structured log lines are
        objects, else texts.
        """
        raise NotImplementedError
