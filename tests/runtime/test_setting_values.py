"""Settings by name: what is taken, and what is refused with which words."""

from __future__ import annotations

import dataclasses
from typing import get_type_hints

import msgspec
import pytest

from fenchel.errors import FenchelError
from fenchel.runtime import Settings
from fenchel.runtime.setting_values import describe_settings, with_values
from fenchel.runtime.settings import IsolateSettings, TransactionLimits


def test_values_are_read_by_their_type() -> None:
    changed = with_values(
        Settings(),
        [
            "isolate.user_time_seconds_max=2.5",
            "transaction.documents_read_max=10",
            "application.redact_errors=true",
            "egress.hosts_denied=a.example,*.b.example",
        ],
    )
    assert changed.isolate.user_time_seconds_max == 2.5
    assert changed.transaction.documents_read_max == 10
    assert changed.application.redact_errors
    assert changed.egress.hosts_denied == ("a.example", "*.b.example")
    assert changed.sync == Settings().sync


@pytest.mark.parametrize(
    ("assignment", "text"),
    [
        ("isolate.user_time_seconds_max=0", "Expected `float` >= 0.01"),
        ("isolate.user_time_seconds_max=soon", "Expected `float`, got `str`"),
        ("isolate.heap_mebibytes_max=9999", "Expected `int` <= 4096"),
        ("isolate.heap_mebibytes_max", "cannot be ''"),
        ("sync.ping_seconds=-1", "Expected a number >= 0"),
        ("sync.ping_seconds=inf", "Expected a number >= 0"),
        ("isolate.nonsense=1", "There is no setting 'isolate.nonsense'"),
        ("nonsense.heap=1", "There is no setting 'nonsense.heap'"),
        ("isolate=1", "There is no setting 'isolate'"),
    ],
)
def test_a_bad_value_is_refused_by_name(assignment: str, text: str) -> None:
    with pytest.raises(FenchelError, match="fenchel settings") as caught:
        with_values(Settings(), [assignment])
    assert text in caught.value.message


@pytest.mark.parametrize("group", [IsolateSettings, TransactionLimits])
def test_every_limit_of_executions_has_bounds_and_a_default_within(group: type) -> None:
    hints = get_type_hints(group, include_extras=True)
    for name, value in dataclasses.asdict(group()).items():
        assert hints[name].__metadata__, name
        assert msgspec.convert(value, hints[name]) == value, name


def test_all_settings_are_described() -> None:
    lines = list(describe_settings(Settings()))
    assert "isolate.user_time_seconds_max=1.0  (0.01 to 600)" in lines
    assert "egress.hosts_denied=" in lines
    assert with_values(
        Settings(), [line.partition("  ")[0] for line in lines if "hosts" not in line]
    ) == (Settings())
