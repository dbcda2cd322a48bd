"""What a query or mutation writes with `log.audit`, until it ends (execution 2.8). Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from fenchel.errors import FenchelError, bad_request
from fenchel.isolate.syscall_args import decode_args

# What a line may leave to be filled in when it is emitted.
VARIABLES = frozenset({"requestId", "ip", "userAgent", "now", "convexActor"})
_LINES_MAX = 500
_LINE_BYTES_MAX = 100_000
_BYTES_MAX = 4_000_000


class _Args(msgspec.Struct, frozen=True, kw_only=True):
    body: dict[str, Any]


class AuditLines:
    """Start value: none. Invariant: the limits hold for callers and callees together."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._size_bytes = 0

    def add_call(self, text: bytes) -> None:
        """Raises: InvalidArgument, AuditLogLimit."""
        body = decode_args(_Args, text, "log.audit").body
        if _is_variable(body):
            raise _invalid("the body must be an object")
        _check(body)
        self.add(msgspec.json.encode(body).decode())

    def add(self, line: str) -> None:
        """Raises: AuditLogLimit."""
        size_bytes = len(line.encode())
        if size_bytes > _LINE_BYTES_MAX:
            raise _too_much(f"a line of {size_bytes} bytes (limit: {_LINE_BYTES_MAX})")
        if len(self.lines) >= _LINES_MAX:
            raise _too_much(f"too many lines in a single function execution (limit: {_LINES_MAX})")
        if self._size_bytes + size_bytes > _BYTES_MAX:
            raise _too_much(f"too many bytes in a single function execution (limit: {_BYTES_MAX})")
        self.lines.append(line)
        self._size_bytes += size_bytes


def _check(value: Any) -> None:
    """Raises: InvalidArgument."""
    if isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, dict) and not _is_variable(value):
        for key, item in value.items():
            if key.startswith("$"):
                raise _invalid(f"the key {key!r} starts with '$'")
            _check(item)


def _is_variable(value: dict[str, Any]) -> bool:
    name = value.get("$var")
    return len(value) == 1 and isinstance(name, str) and name in VARIABLES


def _invalid(reason: str) -> FenchelError:
    return bad_request("InvalidArgument", f"Invalid arguments for `log.audit`: {reason}")


def _too_much(reason: str) -> FenchelError:
    return bad_request("AuditLogLimit", f"The audit log does not take {reason}.")
