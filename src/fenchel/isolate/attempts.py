"""How often and in which company an execution runs that keeps losing its worker. Pure."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from fenchel.isolate.execution import LossCause, WorkerLost

# Attempts beside others while workers are ended from outside.
_TOGETHER_MAX = 3
_NOBODYS_FAULT = frozenset(
    {LossCause.OUTSIDE, LossCause.ISOLATE, LossCause.STARVED, LossCause.REALM, LossCause.MOVED}
)
# These are known to be the doing of whoever was the only one in the worker.
_SOLE_FAULTS = frozenset({LossCause.CRASHED, LossCause.MEMORY})
# A machine that starves a function gets so many times as long for it, again and again.
_PATIENCE_FACTOR = 4
_PATIENCE_MAX = 16
PATIENCES = (1, 4, 16)
# Who was moved so often stays where it is: on a machine full of long turns every place is as good.
_MOVES_MAX = 4


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """`number` counts from 1. Alone for the rest once a neighbour or itself may have been the
    reason; also when signals keep coming, for they may be the kernel's, out of memory. `patience`:
    time by the clock for each second of processor time. `moves`: attempts that the long turn of
    another cut short.
    """

    number: int = 1
    moves: int = 0
    is_alone: bool = False
    patience: int = 1

    @property
    def is_movable(self) -> bool:
        return self.moves < _MOVES_MAX

    def after(self, lost: WorkerLost) -> Attempt:
        if lost.cause is LossCause.MOVED:
            return replace(self, number=self.number + 1, moves=self.moves + 1)
        is_outside = lost.cause is LossCause.OUTSIDE and self.number < _TOGETHER_MAX
        is_known = is_outside or lost.cause is LossCause.REALM
        is_starved = lost.cause is LossCause.STARVED
        factor = _PATIENCE_FACTOR if is_starved else 1
        return replace(
            self,
            number=self.number + 1,
            is_alone=self.is_alone or not (is_known or is_starved),
            patience=min(self.patience * factor, _PATIENCE_MAX),
        )

    def is_blamed(self, lost: WorkerLost) -> bool:
        """Whether this attempt itself must be the reason."""
        if lost.is_sole and lost.cause in _SOLE_FAULTS:
            return True
        return self.is_alone and lost.cause not in _NOBODYS_FAULT
