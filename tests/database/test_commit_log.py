"""The commit log: the earliest overlap in a time range, and forgetting (specification 8.2)."""

from __future__ import annotations

import pytest

from fenchel.database.commit_log import CommitLog
from fenchel.database.read_set import IndexWrite, ReadSet
from fenchel.documents import Timestamp, key_interval
from fenchel.errors import FenchelError
from fenchel.runtime.settings import DatabaseSettings

A, B = b"a" * 16, b"b" * 16
SECOND = 1_000_000_000


def write(ts: int, key: bytes) -> IndexWrite:
    return IndexWrite(Timestamp(ts), None, key, b"t" * 16, b"d" * 16, None)


def reading(*keys: tuple[bytes, bytes]) -> ReadSet:
    reads = ReadSet()
    for index_id, key in keys:
        reads.record(index_id, key_interval(key), is_user=True)
    return reads


def overlap_ts(log: CommitLog, reads: ReadSet, after: int, through: int) -> int | None:
    found = log.first_overlap(reads, after_ts=Timestamp(after), through_ts=Timestamp(through))
    return None if found is None else found.ts


@pytest.fixture
def log() -> CommitLog:
    filled = CommitLog(Timestamp(10), DatabaseSettings())
    for ts, index_id, key in ((20, A, b"x"), (30, B, b"y"), (40, A, b"z")):
        filled.append(Timestamp(ts), {index_id: [write(ts, key)]})
    filled.check_invariants()
    return filled


def test_the_earliest_overlap_of_all_indexes_is_found(log: CommitLog) -> None:
    assert overlap_ts(log, reading((A, b"z"), (B, b"y")), 10, 40) == 30
    assert overlap_ts(log, reading((A, b"z"), (B, b"y")), 30, 40) == 40


def test_the_range_excludes_its_start_and_includes_its_end(log: CommitLog) -> None:
    reads = reading((A, b"x"))
    assert [overlap_ts(log, reads, *span) for span in ((10, 19), (10, 20), (20, 40))] == [
        None,
        20,
        None,
    ]


def test_other_indexes_and_keys_do_not_overlap(log: CommitLog) -> None:
    assert overlap_ts(log, reading((B, b"x"), (A, b"y")), 10, 40) is None


def test_old_commits_are_forgotten(log: CommitLog) -> None:
    assert not log.trim(300 * SECOND + 31)
    assert log.start_ts == 30
    log.check_invariants()
    assert overlap_ts(log, reading((A, b"z")), 30, 40) == 40
    with pytest.raises(FenchelError) as caught:
        overlap_ts(log, reading((A, b"z")), 29, 40)
    assert caught.value.code == "OutOfRetention"
    assert overlap_ts(log, reading((A, b"z")), 29, 29) is None


def test_a_large_log_forgets_sooner() -> None:
    log = CommitLog(Timestamp(0), DatabaseSettings(commit_log_bytes_max=400))
    for ts in (1, 2, 3):
        log.append(Timestamp(ts), {A: [write(ts, b"k")]})
    assert not log.trim(30 * SECOND + 4)
    assert log.start_ts == 2
    log.check_invariants()


def test_nothing_is_forgotten_that_is_newer_than_wanted(log: CommitLog) -> None:
    assert not log.trim(400 * SECOND, through_ts=Timestamp(20))
    assert log.start_ts == 20
    assert not log.trim(400 * SECOND)
    assert log.start_ts == 40


def test_much_is_forgotten_in_parts(log: CommitLog) -> None:
    parts = [(log.trim(400 * SECOND, bytes_max=1), int(log.start_ts)) for _ in range(4)]
    assert parts == [(True, 20), (True, 30), (False, 40), (False, 40)]
    log.check_invariants()


def test_commits_that_were_not_stored_leave_no_trace(log: CommitLog) -> None:
    log.discard_after(Timestamp(20))
    log.check_invariants()
    assert overlap_ts(log, reading((A, b"z"), (B, b"y")), 10, 40) is None
    assert overlap_ts(log, reading((A, b"x")), 10, 40) == 20
    log.append(Timestamp(50), {B: [write(50, b"y")]})
    assert overlap_ts(log, reading((B, b"y")), 10, 50) == 50


def test_a_commit_without_writes_does_not_age_tokens(log: CommitLog) -> None:
    log.append(Timestamp(50), {})
    log.trim(10_000 * SECOND)
    log.check_invariants()
    assert log.start_ts == 40
