"""Complete responses to queries, given again to equal requests while they hold.

It knows nothing of queries: whoever made a response says by `repeat` whether it may be sent again,
and nothing is sent without that. So this cache saves only the way there and back: reading the
request, naming the caller, encoding the value.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fenchel.runtime import Clock
from fenchel.server.metrics import REQUEST_SECONDS

logger = logging.getLogger(__name__)

# The body and every header that an answer may depend on; the others of client-protocol 2
# (Host, User-Agent and the like) change nothing that a caller sees.
AnswerKey = tuple[bytes, ...]
_RELEVANT_HEADERS = frozenset(
    {
        *(b"accept-encoding", b"authorization", b"content-type", b"convex-client", b"origin"),
    }
)
# Who names his request wants to find it in the log; and a compressed body may stand for arguments
# that are far larger than the key.
_EXCLUDING_HEADERS = frozenset({b"content-encoding", b"convex-request-id"})
# Of what goes out from here, in the metrics.
_LABELS = ("POST", 200)
# Objects and map slots of one entry.
_ENTRY_OVERHEAD_BYTES = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """`tail` is the response behind the headers that every response has."""

    repeat: Callable[[], bool]
    tail: bytes


class AnswerCache:
    """Invariant: `_size_bytes` is the sum over `_answers`, at most the limit. `close` is final."""

    def __init__(self, clock: Clock, *, bytes_max: int) -> None:
        self._clock = clock
        self._bytes_max = bytes_max
        self._answers: OrderedDict[AnswerKey, _Answer] = OrderedDict()
        self._size_bytes = 0

    def find(self, key: AnswerKey) -> bytes | None:
        """What to send behind the common headers of a 200; the call is logged and counted then."""
        answer = self._answers.get(key)
        if answer is None:
            return None
        start = self._clock.monotonic()
        try:
            is_right = answer.repeat()
        except Exception:
            logger.exception("repeating an answer failed")
            is_right = False
        if not is_right:
            self._drop(key)
            return None
        self._answers.move_to_end(key)
        REQUEST_SECONDS.observe(_LABELS, self._clock.monotonic() - start)
        return answer.tail

    def store(self, key: AnswerKey, tail: bytes, repeat: Callable[[], bool]) -> None:
        """Keep an answer. The one that was asked for longest ago makes room."""
        self._drop(key)
        self._answers[key] = _Answer(repeat=repeat, tail=tail)
        self._size_bytes += _cost(key, tail)
        while self._size_bytes > self._bytes_max:
            self._drop(next(iter(self._answers)))

    def close(self) -> None:
        """Give no answers any more: the server drains."""
        self._answers.clear()
        self._size_bytes = 0
        self._bytes_max = 0

    def check_invariants(self) -> None:
        total = sum(_cost(key, answer.tail) for key, answer in self._answers.items())
        assert self._size_bytes == total, f"{self._size_bytes} != {total}"
        assert total <= self._bytes_max

    def _drop(self, key: AnswerKey) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self._size_bytes -= _cost(key, answer.tail)


def answer_key(body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> AnswerKey | None:
    """The key of a POST to /api/query; None if its answer is for it alone."""
    key = [body]
    for name, value in headers:
        if name in _RELEVANT_HEADERS:
            key += (name, value)
        elif name in _EXCLUDING_HEADERS:
            return None
    return tuple(key)


def _cost(key: AnswerKey, tail: bytes) -> int:
    return _ENTRY_OVERHEAD_BYTES + sum(map(len, key)) + len(tail)
