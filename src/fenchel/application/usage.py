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

from fenchel.application.transactions import run_transaction
from fenchel.database import Database, Transaction
from fenchel.errors import FenchelError, bad_request
from fenchel.model import Usage, UsageKey, add_usage, delete_usage, sum_usage
from fenchel.runtime import Runtime
from fenchel.udf import FunctionResult, UdfOutcome

_log = logging.getLogger(__name__)

_FLUSH_SECONDS = 60.0
_ROWS_PER_TRANSACTION = 100
# Names that have counters of their own; further ones share those of `OTHERS`.
FUNCTIONS_MAX = 1_000
OTHERS = "(others)"
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


class UsageReport(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Days are those of UTC, both ends included."""

    from_day: str
    through_day: str
    rows: tuple[UsageReportRow, ...]


class UsageTracker:
    """Start value: nothing counted. Invariant: `_stored` is how much of `_totals` the database has,
    or may have; keys of the first are keys of the second.
    """

    def __init__(self, database: Database, runtime: Runtime) -> None:
        self._database = database
        self._runtime = runtime
        self._totals: dict[UsageKey, Usage] = {}
        self._stored: dict[UsageKey, Usage] = {}

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
        if not is_known or len(self._totals) >= FUNCTIONS_MAX:
            key = "", OTHERS, key[2]
        return self._totals.setdefault(key, Usage())

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
        ]
        return UsageReport(from_day=str(first), through_day=str(last), rows=tuple(rows))

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
