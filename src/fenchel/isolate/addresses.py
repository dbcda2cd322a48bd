"""How user code names another function: name, reference or handle (execution 2.11)."""

from __future__ import annotations

import msgspec

from fenchel.definitions import FunctionPath, decode_function_path
from fenchel.errors import FenchelError, bad_request

_FUNCTION_REFERENCE = "_reference/function/"
_CHILD_REFERENCE = "_reference/childComponent/"


class Address(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields that all calling operations share; `name` wins over the others."""

    name: str | None = None
    reference: str | None = None
    function_handle: str | None = None


def resolve_address(address: Address, component: str) -> FunctionPath:
    """The function that `address` means for a caller in `component`. Raises: a developer error."""
    if address.name is not None:
        return decode_function_path(address.name, component=component)
    if address.reference is not None:
        return _resolve_reference(address.reference, component)
    if address.function_handle is not None:
        raise bad_request(
            "FunctionHandleNotFound",
            f"Function handle {address.function_handle!r} does not exist in this deployment.",
        )
    raise bad_request("InvalidArgument", "Missing required argument 'name'")


def _resolve_reference(reference: str, component: str) -> FunctionPath:
    if reference.startswith(_FUNCTION_REFERENCE):
        path = reference.removeprefix(_FUNCTION_REFERENCE)
        return decode_function_path(path, component=component)
    if reference.startswith(_CHILD_REFERENCE):
        child = reference.removeprefix(_CHILD_REFERENCE).split("/", 1)[0]
        raise bad_request("InvalidReference", f'Child component "{child}" not found')
    raise bad_request("InvalidReference", f"Couldn't resolve {reference}")


def invalid_arguments(method: str, cause: Exception) -> FenchelError:
    """Arguments of a system call that do not fit it (execution 2.1)."""
    reason = cause.message if isinstance(cause, FenchelError) else str(cause)
    return bad_request("InvalidArgument", f"Invalid arguments for `{method}`: {reason}")
