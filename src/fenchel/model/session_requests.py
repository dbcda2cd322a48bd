"""`_session_requests`: results of mutations by client session and request, so that a repeat takes
effect once (client-protocol 3.10).
"""

from __future__ import annotations

from typing import Literal, cast

import msgspec

from fenchel.database import Transaction
from fenchel.model.rows import decode_row, encode_row
from fenchel.udf import LogLevel, LogLine
from fenchel.values import COMMIT_TS, Value, has_commit_ts, resolve_commit_ts_json

_TABLE = "_session_requests"
_INDEX = "by_session_id_and_request_id"


class _StoredLine(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    level: str
    messages: list[str]
    timestamp_ms: float
    is_truncated: bool
    system_code: str | None
    udf_path: str | None
    component_path: str | None


class _Outcome(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    type: Literal["mutation"] = "mutation"
    result: str
    log_lines: list[_StoredLine]
    # For a result that names the commit's timestamp, which the commit itself puts in here.
    commit_ts: int | None = None


class _SessionRequestRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    session_id: str
    request_id: int
    outcome: _Outcome


class StoredResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the committed mutation answered: Value JSON of its result, and its log lines."""

    value_json: str
    log_lines: tuple[LogLine, ...]


async def get_session_request(
    tx: Transaction, session_id: str, request_id: int
) -> StoredResult | None:
    """The answer of the committed mutation with this key; None if there is none."""
    rows = await tx.system().query(_TABLE, _INDEX, [session_id, request_id], limit=1)
    if not rows:
        return None
    outcome = decode_row(rows[0], _SessionRequestRow).outcome
    lines = tuple(_decode_line(line) for line in outcome.log_lines)
    value_json = outcome.result
    if outcome.commit_ts is not None:
        value_json = resolve_commit_ts_json(value_json, outcome.commit_ts)
    return StoredResult(value_json=value_json, log_lines=lines)


async def record_session_request(
    tx: Transaction, session_id: str, request_id: int, result: StoredResult
) -> None:
    """Remember the answer in the transaction of the mutation itself; the key must be new."""
    row = _SessionRequestRow(
        session_id=session_id,
        request_id=request_id,
        outcome=_Outcome(
            result=result.value_json,
            log_lines=[_encode_line(line) for line in result.log_lines],
        ),
    )
    value = encode_row(row)
    if has_commit_ts(result.value_json):
        value["outcome"] = {**cast("dict[str, Value]", value["outcome"]), "commitTs": COMMIT_TS}
    await tx.system().insert(_TABLE, value)


async def delete_session_requests(tx: Transaction, *, before_ms: float, limit: int) -> int:
    """Delete up to `limit` records older than that; how many there were."""
    tables = tx.system()
    rows = await tables.query(_TABLE, "by_creation_time", upper=before_ms, limit=limit)
    for row in rows:
        await tables.delete(_TABLE, row.id_text)
    return len(rows)


def _encode_line(line: LogLine) -> _StoredLine:
    return _StoredLine(
        level=line.level.value,
        messages=list(line.messages),
        timestamp_ms=line.timestamp_ms,
        is_truncated=line.is_truncated,
        system_code=line.system_code,
        udf_path=line.udf_path,
        component_path=line.component_path,
    )


def _decode_line(line: _StoredLine) -> LogLine:
    return LogLine(
        level=LogLevel(line.level),
        messages=tuple(line.messages),
        timestamp_ms=line.timestamp_ms,
        is_truncated=line.is_truncated,
        system_code=line.system_code,
        udf_path=line.udf_path,
        component_path=line.component_path,
    )
