"""When crons run (execution 6.2)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.definitions import check_cron_schedule, first_run_ns, run_after
from fenchel.definitions.cron_schedule import CronSchedule
from fenchel.errors import FenchelError


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def text(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ({"type": "hourly", "minuteUTC": 5}, "2023-03-01 08:35", "2023-03-01 09:05"),
        ({"type": "daily", "hourUTC": 8, "minuteUTC": 30}, "2023-02-28 08:30", "2023-03-01 08:30"),
        (
            {"type": "weekly", "dayOfWeek": 0, "hourUTC": 12, "minuteUTC": 30},
            "2023-02-28 08:35",
            "2023-03-05 12:30",
        ),
        # Months without that day are left out.
        (
            {"type": "monthly", "day": 31, "hourUTC": 0, "minuteUTC": 0},
            "2023-03-31 00:00",
            "2023-05-31 00:00",
        ),
        ({"type": "cron", "cronExpr": "0 12 * * 1,5"}, "2023-02-28 08:35", "2023-03-03 12:00"),
        ({"type": "cron", "cronExpr": "*/15 * * * *"}, "2023-02-28 23:59", "2023-03-01 00:00"),
        ({"type": "cron", "cronExpr": "0 0 29 2 *"}, "2023-01-01 00:00", "2024-02-29 00:00"),
    ],
)
def test_first_run(schedule: CronSchedule, after: str, expected: str) -> None:
    assert text(first_run_ns("tidy", schedule, ns(after))) == expected


def test_an_interval_begins_at_once_and_does_not_drift() -> None:
    schedule: CronSchedule = {"type": "interval", "seconds": 60}
    start_ns = ns("2023-03-01 08:35:07")
    assert first_run_ns("tidy", schedule, start_ns) == start_ns
    late_ns = start_ns + 3 * 10**9
    assert run_after("tidy", schedule, start_ns, late_ns) == (start_ns + 60 * 10**9, 0)


@given(length=st.integers(1, 10**5), late_ns=st.integers(0, 10**15))
def test_missed_intervals_are_counted_and_skipped(length: int, late_ns: int) -> None:
    schedule: CronSchedule = {"type": "interval", "seconds": length}
    run_ns = ns("2023-03-01 00:00:00")
    next_ns, missed_count = run_after("tidy", schedule, run_ns, run_ns + late_ns)
    assert next_ns == run_ns + (missed_count + 1) * length * 10**9
    assert next_ns >= run_ns + late_ns
    assert missed_count == 0 or next_ns - length * 10**9 < run_ns + late_ns


def test_missed_times_of_a_clock_schedule() -> None:
    schedule: CronSchedule = {"type": "daily", "hourUTC": 3, "minuteUTC": 0}
    due_ns, now_ns = ns("2023-03-01 03:00:00"), ns("2023-03-04 03:00:01")
    next_ns, missed_count = run_after("tidy", schedule, due_ns, now_ns)
    assert (text(next_ns), missed_count) == ("2023-03-05 03:00", 3)


def test_a_year_of_missed_minutes_ends_in_the_future() -> None:
    schedule: CronSchedule = {"type": "cron", "cronExpr": "* * * * *"}
    now_ns = ns("2024-03-01 00:00:30")
    next_ns, missed_count = run_after("tidy", schedule, ns("2023-03-01 00:00:00"), now_ns)
    assert (text(next_ns), missed_count) == ("2024-03-01 00:01", 10_000)


def test_a_cron_without_a_minute_keeps_its_own() -> None:
    schedule: CronSchedule = {"type": "hourly"}
    first_ns = first_run_ns("tidy", schedule, ns("2023-03-01 00:00:00"))
    second_ns, _ = run_after("tidy", schedule, first_ns, first_ns)
    assert second_ns - first_ns == 3_600 * 10**9


@pytest.mark.parametrize("expression", ["61 * * * *", "* * * *", "a b c d e", "0 0 30 2 *", ""])
def test_bad_expressions_are_refused(expression: str) -> None:
    with pytest.raises(FenchelError, match="tidy") as caught:
        check_cron_schedule("tidy", {"type": "cron", "cronExpr": expression})
    assert caught.value.code == "InvalidCron"
