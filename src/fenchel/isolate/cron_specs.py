"""From `crons.export()` to the form that rows and the CLI hold (deploy-protocol 2.6)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from fenchel.definitions import (
    AnalyzedCron,
    CronSpec,
    check_cron_schedule,
    decode_function_path,
)
from fenchel.errors import FenchelError, bad_request

_IDENTIFIER = re.compile(r"[ -~]*")
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_CRON_FIELD_COUNT = 5

_Positive = Annotated[int, Meta(gt=0)]
_Minute = Annotated[int, Meta(ge=0, le=59)]
_Hour = Annotated[int, Meta(ge=0, le=23)]


class _Interval(msgspec.Struct, tag="interval", frozen=True):
    seconds: _Positive | None = None
    minutes: _Positive | None = None
    hours: _Positive | None = None


class _Hourly(msgspec.Struct, tag="hourly", frozen=True):
    minuteUTC: _Minute | None = None


class _Daily(msgspec.Struct, tag="daily", frozen=True):
    hourUTC: _Hour
    minuteUTC: _Minute | None = None


class _Weekly(msgspec.Struct, tag="weekly", frozen=True):
    dayOfWeek: Literal["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
    hourUTC: _Hour
    minuteUTC: _Minute | None = None


class _Monthly(msgspec.Struct, tag="monthly", frozen=True):
    day: Annotated[int, Meta(ge=1, le=31)]
    hourUTC: _Hour
    minuteUTC: _Minute | None = None


class _Cron(msgspec.Struct, tag="cron", frozen=True):
    cron: str


_Schedule = _Interval | _Hourly | _Daily | _Weekly | _Monthly | _Cron


class _Spec(msgspec.Struct, frozen=True):
    name: str
    args: Raw
    schedule: _Schedule


_decoder = msgspec.json.Decoder(dict[str, _Spec])


def decode_crons(text: str) -> tuple[AnalyzedCron, ...]:
    """Raises: InvalidCron."""
    try:
        specs = _decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise bad_request("InvalidCron", f"Invalid cron jobs: {error}") from error
    return tuple(_decode_cron(identifier, spec) for identifier, spec in specs.items())


def _decode_cron(identifier: str, spec: _Spec) -> AnalyzedCron:
    if not _IDENTIFIER.fullmatch(identifier):
        raise bad_request(
            "InvalidCron", f"Cron identifier {identifier!r} must be printable ASCII text."
        )
    try:
        path = decode_function_path(spec.name)
    except FenchelError as error:
        raise bad_request("InvalidCron", f"Cron {identifier!r}: {error.message}") from error
    schedule = _decode_schedule(identifier, spec.schedule)
    check_cron_schedule(identifier, schedule)
    return AnalyzedCron(
        identifier=identifier,
        spec=CronSpec(
            udf_path=path.canonical,
            udf_args=list(bytes(spec.args)),
            cron_schedule=schedule,
        ),
    )


def _decode_schedule(identifier: str, schedule: _Schedule) -> dict[str, str | int]:
    match schedule:
        case _Interval(seconds, minutes, hours):
            given = [(seconds, 1), (minutes, 60), (hours, 3600)]
            lengths = [count * unit for count, unit in given if count is not None]
            if len(lengths) != 1:
                raise bad_request(
                    "InvalidCron",
                    f"Cron {identifier!r}: give exactly one of seconds, minutes, hours.",
                )
            return {"type": "interval", "seconds": lengths[0]}
        case _Cron(cron):
            if len(cron.split()) != _CRON_FIELD_COUNT:
                raise bad_request(
                    "InvalidCron", f"Cron {identifier!r}: {cron!r} does not have five fields."
                )
            return {"type": "cron", "cronExpr": cron}
        case _:
            fields: dict[str, str | int | None] = msgspec.to_builtins(schedule)
            if isinstance(schedule, _Weekly):
                fields["dayOfWeek"] = _WEEKDAYS.index(schedule.dayOfWeek)
            return {name: value for name, value in fields.items() if value is not None}
