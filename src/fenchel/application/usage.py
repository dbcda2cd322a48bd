"""What functions and files use: counted in memory, stored a minute later (execution 7.5).

A server that is stopped stores all of it; one that is killed loses what was counted since the last
time, a minute at most.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice

import msgspec

from fenchel.application.file_totals import FileTotal, FileTotals
from fenchel.application.transactions import run_transaction
from fenchel.database import Database, SnapshotReader, Transaction
from fenchel.documents import TabletId
from fenchel.errors import FenchelError, bad_request
from fenchel.model import Usage, UsageKey, add_usage, delete_usage, sum_usage
from fenchel.runtime import Runtime
from fenchel.udf import FunctionResult, UdfOutcome

_log = logging.getLogger(__name__)

_FLUSH_SECONDS = 60.0
_ROWS_PER_TRANSACTION = 100
# Functions and tables that have counters of their own; further ones share those of `OTHERS`.
FUNCTIONS_MAX = 1_000
TABLES_MAX = 1_000
OTHERS = "(others)"
# The kind of the counters of a table.
TABLE_KIND = "Table"
_TABLETS_MAX = 10_000
_DAYS_KEPT = 92
_DELETED_PER_FLUSH = 1_000
_NANOSECONDS_PER_DAY = 86_400 * 10**9
_MEBIBYTE = 1 << 20


class UsageReportRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What one function of one component used."""

    component: str
    function: str
    kind: str
    usage: Usage


class TableReportRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What functions did with one table, and what it holds now, in documents and bytes."""

    component: str
    table: str
    read_documents: int = 0
    read_bytes: int = 0
    written_documents: int = 0
    written_bytes: int = 0
    stored_documents: int = 0
    stored_bytes: int = 0


class UsageReport(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Days are those of UTC, both ends included. `files` are those that are stored now."""

    from_day: str
    through_day: str
    rows: tuple[UsageReportRow, ...]
    tables: tuple[TableReportRow, ...]
    files: tuple[FileTotal, ...]


class UsageTracker:
    """Start value: nothing counted. Invariant: `_stored` is how much of `_totals` the database has,
    or may have; keys of the first are keys of the second. `_by_tablet` leads to counters in
    `_totals`.
    """

    def __init__(self, database: Database, runtime: Runtime) -> None:
        self.file_totals = FileTotals(database, runtime)
        self._database = database
        self._runtime = runtime
        self._totals: dict[UsageKey, Usage] = {}
        self._stored: dict[UsageKey, Usage] = {}
        self._by_tablet: dict[TabletId, Usage] = {}
        self._table_count = 0

    @property
    def totals(self) -> dict[UsageKey, Usage]:
        """What was used since the process started; to be read only."""
        return self._totals

    def record_run(
        self,
        key: UsageKey,
        outcome: UdfOutcome,
        transaction: Transaction | None,
        *,
        seconds: float,
        is_final: bool,
    ) -> None:
        """A finished attempt; one that is not final will be run again and is no call yet.

        A name gets counters when code ran under it: callers can make up any number of others.
        """
        usage = self._totals.get(key)
        if usage is None:
            usage = self._begin(key, is_known=outcome.user_seconds > 0)
        usage.calls += is_final
        usage.user_seconds += outcome.user_seconds
        usage.memory_mebibyte_seconds += outcome.memory_bytes / _MEBIBYTE * seconds
        usage.egress_bytes += outcome.egress_bytes
        usage.ingress_bytes += outcome.ingress_bytes
        result = outcome.result
        if type(result) is FunctionResult:
            usage.returned_bytes += len(result.value_json)
        else:
            usage.failed_calls += is_final
        if transaction is not None:
            used = transaction.usage
            usage.read_documents += used.documents_read
            usage.read_bytes += used.bytes_read
            usage.written_documents += used.documents_written
            usage.written_bytes += used.bytes_written
            for tablet_id, (documents, size_bytes) in used.read_by_table.items():
                table = self._by_tablet.get(tablet_id) or self._begin_table(transaction, tablet_id)
                table.read_documents += documents
                table.read_bytes += size_bytes
            for tablet_id, (documents, size_bytes) in used.written_by_table.items():
                table = self._by_tablet.get(tablet_id) or self._begin_table(transaction, tablet_id)
                table.written_documents += documents
                table.written_bytes += size_bytes

    def record_hit(self, key: UsageKey, returned_bytes: int) -> None:
        """A query that was answered without running."""
        usage = self._totals.get(key)
        if usage is None:
            usage = self._begin(key, is_known=False)
        usage.calls += 1
        usage.cached_calls += 1
        usage.returned_bytes += returned_bytes

    def record_file(
        self, component: str, function: str, *, written_bytes: int = 0, read_bytes: int = 0
    ) -> None:
        """A file of the component came in or went out; `function` says by which way."""
        key = component, function, "Storage"
        usage = self._totals.get(key)
        if usage is None:
            usage = self._begin(key, is_known=True)
        usage.calls += 1
        usage.file_written_bytes += written_bytes
        usage.file_read_bytes += read_bytes

    def _begin(self, key: UsageKey, *, is_known: bool) -> Usage:
        """The counters of a key that has none yet."""
        if not is_known or len(self._totals) - self._table_count >= FUNCTIONS_MAX:
            key = "", OTHERS, key[2]
        return self._totals.setdefault(key, Usage())

    def _begin_table(self, transaction: Transaction, tablet_id: TabletId) -> Usage:
        """The counters of a table, which a table that takes its place shares."""
        namespace, name = transaction.table_name(tablet_id) or ("", OTHERS)
        key = namespace, name, TABLE_KIND
        usage = self._totals.get(key)
        if usage is None:
            if self._table_count >= TABLES_MAX:
                key = "", OTHERS, TABLE_KIND
            usage = self._totals.setdefault(key, Usage())
            self._table_count = sum(kind == TABLE_KIND for _, _, kind in self._totals)
        if len(self._by_tablet) >= _TABLETS_MAX:
            self._by_tablet.clear()
        self._by_tablet[tablet_id] = usage
        return usage

    async def run(self) -> None:
        """Store for ever."""
        while True:
            await self._runtime.clock.sleep(_FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Store what was counted until now, and delete days that are over.

        What a transaction holds that is cut off counts as stored, for the committer finishes what
        it has: nothing is counted twice. Raises FenchelError; then a later flush does it.
        """
        while pending := dict(islice(self._grown(), _ROWS_PER_TRANSACTION)):
            await self._store(pending)

    async def close(self) -> None:
        """Store the rest; a database that no longer takes it is only logged."""
        try:
            await self.flush()
        except FenchelError as error:
            _log.warning("usage of the last minute is lost error=%s", error)

    async def report(self, from_day: str | None, through_day: str | None) -> UsageReport:
        """What was used in these days, today if there are none, up to this moment.

        Raises: BadUsageDays.
        """
        today = self._today()
        last = _parse_day(through_day) if through_day else today
        first = _parse_day(from_day) if from_day else last
        if not 0 <= (last - first).days < _DAYS_KEPT:
            raise bad_request(
                "BadUsageDays", f"Ask for one to {_DAYS_KEPT} days, the first not after the last."
            )
        days = [str(first + timedelta(days=index)) for index in range((last - first).days + 1)]
        # Before anything waits, so that nothing is missing or counted twice.
        rest = dict(self._grown()) if first <= today <= last else {}
        sums = await sum_usage(self._database.begin(), days)
        for key, usage in rest.items():
            sums.setdefault(key, Usage()).add(usage)
        rows = [
            UsageReportRow(component=component, function=function, kind=kind, usage=sums[key])
            for key in sorted(sums)
            for component, function, kind in [key]
            if kind != TABLE_KIND
        ]
        return UsageReport(
            from_day=str(first),
            through_day=str(last),
            rows=tuple(rows),
            tables=self._report_tables(sums),
            files=await self.file_totals.refresh(),
        )

    def _report_tables(self, sums: dict[UsageKey, Usage]) -> tuple[TableReportRow, ...]:
        """Tables that were used or hold something."""
        used = {key[:2]: usage for key, usage in sums.items() if key[2] == TABLE_KIND}
        held = {
            (size.table.namespace, size.table.name): size
            for size in SnapshotReader(self._database).list_user_tables(None)
            if size.document_count
        }
        rows = []
        for component, name in sorted(used.keys() | held.keys()):
            usage, size = used.get((component, name)) or Usage(), held.get((component, name))
            row = TableReportRow(
                component=component,
                table=name,
                read_documents=usage.read_documents,
                read_bytes=usage.read_bytes,
                written_documents=usage.written_documents,
                written_bytes=usage.written_bytes,
                stored_documents=size.document_count if size else 0,
                stored_bytes=size.size_bytes if size else 0,
            )
            rows.append(row)
        return tuple(rows)

    def _grown(self) -> Iterator[tuple[UsageKey, Usage]]:
        for key, total in self._totals.items():
            stored = self._stored.get(key)
            if stored is None:
                yield key, total.copy()
            elif total != stored:
                yield key, total.since(stored)

    async def _store(self, grown: dict[UsageKey, Usage]) -> None:
        today = self._today()
        oldest = str(today - timedelta(days=_DAYS_KEPT))

        async def work(tx: Transaction) -> None:
            await add_usage(tx, str(today), grown)
            await delete_usage(tx, through_day=oldest, limit=_DELETED_PER_FLUSH)

        for key, usage in grown.items():
            self._stored.setdefault(key, Usage()).add(usage)
        try:
            await run_transaction(self._database, self._runtime, work, write_source="_system/usage")
        except FenchelError:
            for key, usage in grown.items():
                self._stored[key] = self._stored[key].since(usage)
            raise

    def _today(self) -> date:
        days = self._runtime.clock.now_ns() // _NANOSECONDS_PER_DAY
        return date(1970, 1, 1) + timedelta(days=days)


def _parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise bad_request("BadUsageDays", f"{text!r} is not a day like 2026-11-21.") from error
