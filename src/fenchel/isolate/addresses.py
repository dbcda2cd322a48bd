"""How user code names another function: name, reference or handle (execution 2.11)."""

from __future__ import annotations

import msgspec

from fenchel.errors import FenchelError, bad_request


class Address(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields that all calling operations share; `name` wins over the others."""

    name: str | None = None
    reference: str | None = None
    function_handle: str | None = None


def invalid_arguments(method: str, cause: Exception) -> FenchelError:
    """Arguments of a system call that do not fit it (execution 2.1)."""
    reason = cause.message if isinstance(cause, FenchelError) else str(cause)
    return bad_request("InvalidArgument", f"Invalid arguments for `{method}`: {reason}")
