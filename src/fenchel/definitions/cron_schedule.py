"""When a cron runs next (execution 6.2). Times are UTC, in nanoseconds since the epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from fenchel.errors import bad_request

CronSchedule = Mapping[str, str | int]

_SECOND_NS = 1_000_000_000
# Counting what was missed ends here: a cron of every minute misses half a million runs in a year.
_MISSED_COUNT_MAX = 10_000


def check_cron_schedule(identifier: str, schedule: CronSchedule) -> None:
    """Raises: InvalidCron for an expression that cannot be read or never matches."""
    if schedule["type"] == "interval":
        return
    try:
        next(CronSim(_expression(identifier, schedule), datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise bad_request(
            "InvalidCron",
            f"Cron {identifier!r}: cannot read the schedule {schedule.get('cronExpr')!r}: {error}.",
        ) from error
    except StopIteration as error:
        raise bad_request(
            "InvalidCron",
            f"Cron {identifier!r}: the schedule {schedule.get('cronExpr')!r} matches no time.",
        ) from error


def first_run_ns(identifier: str, schedule: CronSchedule, now_ns: int) -> int:
    """An interval begins at once; other schedules at their first time after `now_ns`."""
    if schedule["type"] == "interval":
        return now_ns
    return _next_run_ns(identifier, schedule, now_ns)


def run_after(identifier: str, schedule: CronSchedule, run_ns: int, now_ns: int) -> tuple[int, int]:
    """The run that follows the one due at `run_ns`, and how many were missed before it.

    It is the first that is not before `now_ns`; times come from the schedule, never from how long
    runs take, so that they do not drift. At most 10,000 missed runs are counted.
    """
    if schedule["type"] == "interval":
        length_ns = int(schedule["seconds"]) * _SECOND_NS
        missed_count = max(0, -((run_ns + length_ns - now_ns) // length_ns))
        return run_ns + (missed_count + 1) * length_ns, missed_count
    next_ns = _next_run_ns(identifier, schedule, run_ns)
    missed_count = 0
    while next_ns < now_ns and missed_count < _MISSED_COUNT_MAX:
        next_ns = _next_run_ns(identifier, schedule, next_ns)
        missed_count += 1
    if next_ns < now_ns:
        next_ns = _next_run_ns(identifier, schedule, now_ns)
    return next_ns, missed_count


def _next_run_ns(identifier: str, schedule: CronSchedule, after_ns: int) -> int:
    after = datetime.fromtimestamp(after_ns // _SECOND_NS, UTC)
    found = next(CronSim(_expression(identifier, schedule), after))
    return int(found.timestamp()) * _SECOND_NS


def _expression(identifier: str, schedule: CronSchedule) -> str:
    """Minute, hour, day of the month, month, day of the week (0 is Sunday)."""
    minute = schedule.get("minuteUTC", _usual_minute(identifier))
    hour = schedule.get("hourUTC", "*")
    match schedule["type"]:
        case "hourly" | "daily":
            return f"{minute} {hour} * * *"
        case "weekly":
            return f"{minute} {hour} * * {schedule['dayOfWeek']}"
        case "monthly":
            return f"{minute} {hour} {schedule['day']} * *"
        case _:
            return str(schedule["cronExpr"])


def _usual_minute(identifier: str) -> int:
    """For a cron that names no minute: its own, so that they do not all run on the hour."""
    return hashlib.sha256(identifier.encode()).digest()[0] % 60
