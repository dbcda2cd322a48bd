"""What one execution produced. A developer error is a value here, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

from fenchel.udf.log_line import LogLine
from fenchel.udf.realm import RealmKind, WhyFresh


@dataclass(frozen=True, slots=True, kw_only=True)
class JsFrame:
    """One line of a stack trace, mapped to the developer's source. Lines and columns from 1."""

    text: str


class StopCause(Enum):
    """Why code that did not fail by itself was ended: its own time, that of its system calls, its
    memory, or a promise that nothing can resolve any more."""

    USER_TIMEOUT = "user_timeout"
    SYSTEM_TIMEOUT = "system_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    NEVER_RESOLVES = "never_resolves"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsError:
    """`message` starts with `Uncaught …` when user code threw; `data_json` is the Value JSON of a
    ConvexError; `stop` is None where the code itself, or a check of it, failed.
    """

    message: str
    frames: tuple[JsFrame, ...] = ()
    data_json: str | None = None
    stop: StopCause | None = None

    @property
    def pretty(self) -> str:
        """Message and frames, a line each, with a final newline (client-protocol 5)."""
        lines = [self.message, *(f"    {frame.text}" for frame in self.frames)]
        return "\n".join(lines) + "\n"


class QueryJournal(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions of a query that a re-run repeats. Law: same timestamp, arguments and own journal
    give the same result and the same journal. `end_cursor` is the sealed cursor text at which its
    page ended.
    """

    end_cursor: str | None = None


class FunctionResult(msgspec.Struct, frozen=True):
    """Value JSON text of what the function returned."""

    value_json: str


class UdfOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """`result` and everything observed on the way; caching follows from the observed_* facts.

    `audit_lines` are JSON texts in which `{"$var": name}` stands for what is known at the end.
    `http_status` is what an HTTP action sent, None if it came to no response. `egress_bytes` are
    bodies that an action sent: its HTTP response, its requests by `fetch`; `ingress_bytes` those
    that it read: of its HTTP request, of responses to `fetch`. `why_fresh` is None where a fresh
    realm is all that is wanted.
    """

    result: FunctionResult | JsError
    log_lines: tuple[LogLine, ...] = ()
    audit_lines: tuple[str, ...] = ()
    journal: QueryJournal = QueryJournal()
    observed_time: bool = False
    observed_randomness: bool = False
    observed_identity: bool = False
    user_seconds: float = 0.0
    memory_bytes: int = 0
    realm: RealmKind = RealmKind.FRESH
    why_fresh: WhyFresh | None = None
    http_status: int | None = None
    egress_bytes: int = 0
    ingress_bytes: int = 0
