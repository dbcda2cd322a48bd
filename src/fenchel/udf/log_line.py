"""One console line of a function (execution specification 3.6)."""

from __future__ import annotations

from enum import Enum

import msgspec


class LogLevel(Enum):
    DEBUG = "DEBUG"
    ERROR = "ERROR"
    WARN = "WARN"
    INFO = "INFO"
    LOG = "LOG"


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """`messages` are the rendered arguments; together, joined by spaces, at most 32,768 bytes.

    `udf_path` and `component_path` are set on lines of sub-functions only; `system_code` on
    warnings that the host wrote.
    """

    level: LogLevel
    messages: tuple[str, ...]
    timestamp_ms: float
    is_truncated: bool = False
    system_code: str | None = None
    udf_path: str | None = None
    component_path: str | None = None

    @property
    def pretty(self) -> str:
        """The form that clients parse: `[LEVEL] text`."""
        tail = " (truncated due to length)" if self.is_truncated else ""
        return f"[{self.level.value}] {' '.join(self.messages)}{tail}"
