"""What an official client and a server said to each other, with all that differs between two runs
put aside, as lines of JSON:

`{"open": path}` and `{"close": code}` of a connection, `{"client": message}`, `{"server": message}`
on it; `{"request": {...}, "response": {...}}` over HTTP.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

TRANSCRIPTS = Path(__file__).parent / "transcripts"
TOPIC = "transcript"
TS_ZERO = "AAAAAAAAAAA="

_TIMESTAMPS = frozenset({"ts", "maxObservedTimestamp"})
_CLOCKS = frozenset({"clientTs", "serverTs", "clientClockSkew"})
_REQUEST_ID = re.compile(r"\[Request ID: [0-9a-f]{16}\]")
_DOCUMENT_ID = re.compile(r"[0-9a-z]{31,37}")


def put_aside(message: Any) -> Any:
    """The message without what differs between two runs."""
    if isinstance(message, dict):
        return {key: _put_aside_field(key, value) for key, value in message.items()}
    if isinstance(message, list):
        return [put_aside(item) for item in message]
    if isinstance(message, str):
        is_id = _DOCUMENT_ID.fullmatch(message) is not None
        return "<id>" if is_id else _REQUEST_ID.sub("[Request ID]", message)
    return message


def _put_aside_field(key: str, value: Any) -> Any:
    if key in _CLOCKS:
        return "<clock>"
    if key == "sessionId":
        return "<session>"
    if key in _TIMESTAMPS and isinstance(value, str):
        return value if value == TS_ZERO else "<ts>"
    return put_aside(value)


def load(name: str, topic: str) -> list[dict[str, Any]]:
    """A recording as if the client had written to this topic."""
    text = (TRANSCRIPTS / f"{name}.jsonl").read_text().replace(TOPIC, topic)
    return [json.loads(line) for line in text.splitlines()]


def save(name: str, entries: list[dict[str, Any]], topic: str) -> None:
    text = "".join(json.dumps(put_aside(entry), ensure_ascii=False) + "\n" for entry in entries)
    (TRANSCRIPTS / f"{name}.jsonl").write_text(text.replace(topic, TOPIC))
