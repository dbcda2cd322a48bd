"""`_function_usage`: what functions, files and tables used, a row per day (UTC), component and name
of the function or table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fenchel.database import Transaction
from fenchel.model.rows import decode_row, encode_row

_TABLE = "_function_usage"
_INDEX = "by_day_and_function"


# Component, function, and its kind: a UDF type, or `Storage` for files that are sent and read; or
# component, table, and `Table`.
UsageKey = tuple[str, str, str]


class Usage(msgspec.Struct, rename="camel", kw_only=True):
    """Sums, all starting at 0 and growing. Bytes of documents are sizes of their values.

    `memory_mebibyte_seconds` is the heap at the end of each execution times its duration;
    `egress_bytes` went out of actions: bodies of HTTP responses and of requests by `fetch`;
    `ingress_bytes` came in: bodies of HTTP requests and of responses to `fetch`, as far as read.
    """

    calls: int = 0
    cached_calls: int = 0
    failed_calls: int = 0
    user_seconds: float = 0.0
    memory_mebibyte_seconds: float = 0.0
    read_documents: int = 0
    read_bytes: int = 0
    written_documents: int = 0
    written_bytes: int = 0
    returned_bytes: int = 0
    egress_bytes: int = 0
    ingress_bytes: int = 0
    file_written_bytes: int = 0
    file_read_bytes: int = 0

    def copy(self) -> Usage:
        return Usage(**{name: getattr(self, name) for name in self.__struct_fields__})

    def add(self, other: Usage) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def since(self, earlier: Usage) -> Usage:
        """How much it has grown."""
        names = self.__struct_fields__
        return Usage(**{name: getattr(self, name) - getattr(earlier, name) for name in names})


class _UsageRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`day` is like 2026-11-21."""

    day: str
    component: str
    function: str
    kind: str
    usage: Usage


async def add_usage(tx: Transaction, day: str, grown: Mapping[UsageKey, Usage]) -> None:
    """Add to the rows of the day, creating those that are missing."""
    tables = tx.system()
    for key, usage in grown.items():
        found = await tables.query(_TABLE, _INDEX, [day, *key], limit=1)
        if found:
            usage = usage.copy()
            usage.add(decode_row(found[0], _UsageRow).usage)
        component, function, kind = key
        row = encode_row(
            _UsageRow(day=day, component=component, function=function, kind=kind, usage=usage)
        )
        if found:
            await tables.replace(_TABLE, found[0].id_text, row)
        else:
            await tables.insert(_TABLE, row)


async def sum_usage(tx: Transaction, days: Iterable[str]) -> dict[UsageKey, Usage]:
    """What was used in these days together."""
    sums: dict[UsageKey, Usage] = {}
    for day in days:
        for document in await tx.system().query(_TABLE, _INDEX, [day]):
            row = decode_row(document, _UsageRow)
            sums.setdefault((row.component, row.function, row.kind), Usage()).add(row.usage)
    return sums


async def delete_usage(tx: Transaction, *, through_day: str, limit: int) -> int:
    """Delete up to `limit` rows of days up to that one; how many there were."""
    tables = tx.system()
    rows = await tables.query(_TABLE, _INDEX, upper=through_day, limit=limit)
    for row in rows:
        await tables.delete(_TABLE, row.id_text)
    return len(rows)
