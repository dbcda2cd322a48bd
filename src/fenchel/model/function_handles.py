"""`_function_handles`: stable names for functions, which other components may call by them
(execution 6.5).

Every function has a row from the push that brought it; the row outlives the function, so that a
handle means the same function whenever that is there.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fenchel.database import Transaction
from fenchel.definitions import FunctionPath, decode_function_path
from fenchel.errors import FenchelError, bad_request
from fenchel.model.rows import decode_row, encode_row

_TABLE = "_function_handles"
_PREFIX = "function://"


class _HandleRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`path` is canonical ("a/b.js:run"); `deleted_ts` is in nanoseconds, None for a function that
    is deployed."""

    component: str
    path: str
    deleted_ts: int | None = None


async def encode_function_handle(tx: Transaction, path: FunctionPath) -> str:
    """The handle of a function. Raises: FunctionHandleNotFound if it is not deployed."""
    key = [path.component, path.canonical]
    rows = await tx.system().query(_TABLE, "by_component_path", key, limit=1)
    if not rows or decode_row(rows[0], _HandleRow).deleted_ts is not None:
        raise bad_request(
            "FunctionHandleNotFound", f"There is no function {path} to make a handle of."
        )
    return f"{_PREFIX}{rows[0].id_text}#{path.stripped}"


async def decode_function_handle(tx: Transaction, handle: str) -> FunctionPath:
    """The function that a handle means; only its id counts. Raises: FunctionHandleNotFound."""
    id_text = handle.removeprefix(_PREFIX).partition("#")[0]
    try:
        document = await tx.system().get(_TABLE, id_text) if handle.startswith(_PREFIX) else None
    except FenchelError as error:
        raise _unknown(handle) from error
    if document is None:
        raise _unknown(handle)
    row = decode_row(document, _HandleRow)
    if row.deleted_ts is not None:
        raise _unknown(handle)
    return decode_function_path(row.path, component=row.component)


async def replace_function_handles(
    tx: Transaction, functions: Iterable[FunctionPath], *, now_ns: int
) -> None:
    """Make handles for these functions, and for these only."""
    tables = tx.system()
    wanted = {(path.component, path.canonical) for path in functions}
    for document in await tables.query(_TABLE, "by_component_path"):
        row = decode_row(document, _HandleRow)
        key = row.component, row.path
        is_wanted = key in wanted
        wanted.discard(key)
        if is_wanted != (row.deleted_ts is None):
            new = msgspec.structs.replace(row, deleted_ts=None if is_wanted else now_ns)
            await tables.replace(_TABLE, document.id_text, encode_row(new))
    for component, path in sorted(wanted):
        await tables.insert(_TABLE, encode_row(_HandleRow(component=component, path=path)))


def _unknown(handle: str) -> FenchelError:
    return bad_request(
        "FunctionHandleNotFound",
        f"Function handle {handle!r} does not exist in this deployment, or its function was "
        "deleted.",
    )
