"""Lines for the audit log: what they may hold, and how many there may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fenchel.errors import FenchelError
from fenchel.isolate.audit_log import AuditLines


def encode(body: Any) -> bytes:
    return json.dumps({"body": body, "version": "1.48.0"}).encode()


def test_a_line_keeps_its_variables() -> None:
    audit = AuditLines()
    body = {"action": "seen", "by": [{"$var": "ip"}], "at": {"$var": "now"}, "n": None}
    audit.add_call(encode(body))
    assert [json.loads(line) for line in audit.lines] == [body]


@pytest.mark.parametrize(
    "body",
    [1, [], {"$x": 1}, {"a": {"$var": "secret"}}, {"a": [{"$var": "ip", "b": 1}]}, {"$var": "ip"}],
)
def test_other_bodies_are_refused(body: Any) -> None:
    with pytest.raises(FenchelError, match=r"Invalid arguments for `log\.audit`"):
        AuditLines().add_call(encode(body))


def test_lines_are_limited_in_size_and_number() -> None:
    audit = AuditLines()
    with pytest.raises(FenchelError, match="limit: 100000"):
        audit.add_call(encode({"a": "x" * 100_000}))
    for _ in range(40):
        audit.add("x" * 100_000)
    with pytest.raises(FenchelError, match="limit: 4000000"):
        audit.add("x")
    audit = AuditLines()
    for _ in range(500):
        audit.add("{}")
    with pytest.raises(FenchelError, match="limit: 500"):
        audit.add("{}")
