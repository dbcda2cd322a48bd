"""Which system calls a function will make first, learned from its earlier runs.

A call that was anticipated is answered before the execution starts, and its answer travels with
EXECUTE: no round trip to the worker. The worker uses an answer only for exactly the call that was
anticipated, in exactly that order; otherwise the run is undone and the function runs without
anticipation. So this module may guess as it likes: a wrong guess costs time, never truth.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import takewhile
from typing import NamedTuple, cast

import msgspec

from fenchel.isolate.messages import Syscall
from fenchel.udf import UdfRequest

# Reads and writes of documents: everything they do is undone with their transaction's level.
ANTICIPATED_OPS = frozenset(
    {
        "fenchel/queryPage",
        "1.0/get",
        "1.0/count",
        "1.0/insert",
        "1.0/shallowMerge",
        "1.0/replace",
        "1.0/remove",
        "1.0/getUserIdentity",
    }
)
# Two fields of the EXECUTE frame for each.
ANTICIPATED_CALLS_MAX = 16
_FUNCTION_COUNT_MAX = 1_024
_ARGS_BYTES_MAX = 16_384
_BEFORE_VALUES = frozenset(":[,")
_AFTER_VALUES = frozenset(",]}")
# Of so many runs one may be undone before a function is expected to do less.
_RUNS_PER_MISS = 16
# After so many runs of which nothing was expected, another one is learned from.
_RUNS_PER_TRIAL = 64

Turn = tuple[Syscall, ...]

_Arguments = dict[str, msgspec.Raw]
_args_decoder = msgspec.json.Decoder(tuple[_Arguments])


class _CallTemplate(NamedTuple):
    """Text of a call's arguments; a `str` among the pieces is the name of a function argument
    whose JSON belongs there."""

    op: str
    pieces: tuple[bytes | str, ...]


_TurnTemplate = tuple[_CallTemplate, ...]


class Anticipation:
    """What one function is expected to do: whole JavaScript turns from the first one on.

    `turns` starts empty. A run that is learned from fills it; a later one, asked for when runs
    differ too often, leaves only what both have in common. `wants_run` starts True and asks that
    the next run without anticipation be told to `learn`.
    """

    def __init__(self) -> None:
        self.turns: tuple[_TurnTemplate, ...] = ()
        self.wants_run = True
        self._run_count = 0
        self._miss_count = 0

    def predict(self, request: UdfRequest) -> list[Turn]:
        """The calls that this request will probably make, with ids as the worker counts them."""
        args = _decode_arguments(request.args_json) if self.turns else None
        if args is None:
            return []
        predicted: list[Turn] = []
        count = 0
        for templates in self.turns:
            try:
                turn = tuple(
                    Syscall(count + place, template.op, _fill(template, args))
                    for place, template in enumerate(templates)
                )
            except KeyError:  # an optional argument that is not given this time
                break
            predicted.append(turn)
            count += len(turn)
        return predicted

    def record_run(self, *, is_miss: bool) -> None:
        """A run came to its end, or had to be undone because it did not do what was expected."""
        self._run_count += 1
        self._miss_count += is_miss
        differs_often = self._miss_count * _RUNS_PER_MISS > self._run_count
        is_trial_due = not self.turns and self._run_count >= _RUNS_PER_TRIAL
        if differs_often or is_trial_due:
            self.wants_run = True

    def learn(self, request: UdfRequest, turns: list[Turn]) -> None:
        """`turns` is what a run did from its start, as far as it can be anticipated."""
        args = _decode_arguments(request.args_json)
        learned = tuple(_templates(turn, args) for turn in turns) if args is not None else ()
        if self.turns:
            pairs = zip(self.turns, learned, strict=False)
            learned = tuple(old for old, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self.turns = learned
        self.wants_run = False
        self._run_count = self._miss_count = 0


class Anticipations:
    """By code and function; the least recently used are forgotten first."""

    def __init__(self) -> None:
        self._functions: OrderedDict[tuple[str, str, str], Anticipation] = OrderedDict()

    def find(self, bundle_key: str, request: UdfRequest) -> Anticipation:
        key = bundle_key, request.path.module, request.path.function
        found = self._functions.get(key)
        if found is None:
            found = self._functions[key] = Anticipation()
            if len(self._functions) > _FUNCTION_COUNT_MAX:
                self._functions.popitem(last=False)
        self._functions.move_to_end(key)
        return found


class CallRecorder:
    """Collects the turns of one run as long as they can be anticipated."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._call_count = 0
        self._args_bytes = 0
        self._is_open = True

    def add(self, calls: list[Syscall]) -> None:
        """The next turn's calls."""
        self._call_count += len(calls)
        self._args_bytes += sum(len(call.args) for call in calls)
        if self._call_count > ANTICIPATED_CALLS_MAX or self._args_bytes > _ARGS_BYTES_MAX:
            self.stop()
        if not all(call.op in ANTICIPATED_OPS for call in calls):
            self.stop()
        if self._is_open:
            self.turns.append(tuple(calls))

    def stop(self) -> None:
        """What comes from now on cannot be anticipated."""
        self._is_open = False

    def discard(self) -> None:
        """Nothing of this run can be anticipated."""
        self.stop()
        self.turns.clear()


def _decode_arguments(args_json: str) -> _Arguments | None:
    if len(args_json) > _ARGS_BYTES_MAX:
        return None
    try:
        return _args_decoder.decode(args_json)[0]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _fill(template: _CallTemplate, args: _Arguments) -> bytes:
    """Raises: KeyError if an argument is missing."""
    return b"".join(
        [piece if type(piece) is bytes else args[cast("str", piece)] for piece in template.pieces]
    )


def _templates(turn: Turn, args: _Arguments) -> _TurnTemplate:
    names: dict[str, str] = {}
    for name, raw in args.items():
        text = bytes(raw).decode()
        if len(text) > 1:  # `1` may mean anything
            names.setdefault(text, name)
    return tuple(_CallTemplate(call.op, _split(call.args.decode(), names)) for call in turn)


def _split(text: str, names: dict[str, str]) -> tuple[bytes | str, ...]:
    """The text around whole JSON values that equal an argument, and those arguments' names."""
    # At even places text, at odd ones names. No pattern: compiling one takes longer than all this.
    pieces = [text]
    for value in sorted(names, key=len, reverse=True):
        if value in text:
            pieces = [
                part
                for place, piece in enumerate(pieces)
                for part in ([piece] if place % 2 else _split_at(piece, value, names[value]))
            ]
    return tuple(piece if place % 2 else piece.encode() for place, piece in enumerate(pieces))


def _split_at(text: str, value: str, name: str) -> list[str]:
    """`name` in place of each `value` that is whole, between the texts around them."""
    pieces: list[str] = []
    begin, at = 0, text.find(value)
    while at >= 0:
        end = at + len(value)
        if text[at - 1 : at] in _BEFORE_VALUES and text[end : end + 1] in _AFTER_VALUES:
            pieces += [text[begin:at], name]
            begin = end
        at = text.find(value, max(begin, at + 1))
    return [*pieces, text[begin:]]
