"""Crons of `crons.export()` in the stored form (deploy-protocol 2.6)."""

import json
from typing import Any

import pytest

from fenchel.errors import FenchelError
from fenchel.isolate.cron_specs import decode_crons


def crons_text(schedule: object, name: str = "m:f", identifier: str = "tidy up") -> str:
    return json.dumps({identifier: {"name": name, "args": [{}], "schedule": schedule}})


@pytest.mark.parametrize(
    ("schedule", "stored"),
    [
        ({"type": "interval", "seconds": 5}, {"type": "interval", "seconds": 5}),
        ({"type": "interval", "minutes": 2}, {"type": "interval", "seconds": 120}),
        ({"type": "interval", "hours": 1}, {"type": "interval", "seconds": 3600}),
        ({"type": "hourly"}, {"type": "hourly"}),
        (
            {"type": "daily", "hourUTC": 3, "minuteUTC": 0},
            {"type": "daily", "hourUTC": 3, "minuteUTC": 0},
        ),
        (
            {"type": "weekly", "dayOfWeek": "monday", "hourUTC": 1},
            {"type": "weekly", "dayOfWeek": 1, "hourUTC": 1},
        ),
        (
            {"type": "monthly", "day": 31, "hourUTC": 0},
            {"type": "monthly", "day": 31, "hourUTC": 0},
        ),
        ({"type": "cron", "cron": "0 4 * * 1"}, {"type": "cron", "cronExpr": "0 4 * * 1"}),
    ],
)
def test_schedules_in_their_stored_form(schedule: dict[str, Any], stored: dict[str, Any]) -> None:
    (cron,) = decode_crons(crons_text(schedule))
    assert cron.spec.cron_schedule == stored


def test_path_and_arguments_are_stored_canonically() -> None:
    (cron,) = decode_crons(crons_text({"type": "hourly"}))
    assert cron.identifier == "tidy up"
    assert cron.spec.udf_path == "m.js:f"
    assert bytes(cron.spec.udf_args) == b"[{}]"


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        crons_text({"type": "interval"}),
        crons_text({"type": "interval", "seconds": 1, "hours": 1}),
        crons_text({"type": "interval", "seconds": 0}),
        crons_text({"type": "sometimes"}),
        crons_text({"type": "daily", "hourUTC": 24}),
        crons_text({"type": "cron", "cron": "* *"}),
        crons_text({"type": "hourly"}, name="a-b:f"),
        crons_text({"type": "hourly"}, identifier="täglich"),
    ],
)
def test_a_cron_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(FenchelError, match="InvalidCron"):
        decode_crons(text)
