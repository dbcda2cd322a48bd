"""Whether one worker's JavaScript turn computes for so long that others should not wait for it.
Pure: what was read of the worker goes in, look by look.
"""

from __future__ import annotations

# A worker that used less between looks this far apart has ended its turn without a word, as one
# that settles a part of many promises does. A machine with other work may well leave it without a
# core for the time of one look.
_REST_SECONDS = 0.05


class TurnWatch:
    """Start value: no turn. A turn is told by the worker's last sign of life and the execution that
    the worker names; both stay the same while it lasts.
    """

    def __init__(self) -> None:
        self.is_stalled = False
        # At the last look: when the worker was heard last, and whose turn it was.
        self.last_sign = 0.0
        self.turn_id = 0
        # What that turn was seen to use.
        self.turn_seconds = 0.0
        self._begun_cpu = self._last_cpu = 0.0
        self._used_at = 0.0

    def look(
        self, *, last_sign: float, turn_id: int, cpu_seconds: float, now: float, seconds_max: float
    ) -> None:
        """`cpu_seconds`: what the process has used in its life. Stalled is a turn that was seen to
        use `seconds_max` of it.
        """
        if (last_sign, turn_id) != (self.last_sign, self.turn_id):
            self.last_sign, self.turn_id = last_sign, turn_id
            self._begun_cpu, self._used_at = cpu_seconds, now
        elif cpu_seconds > self._last_cpu:
            self._used_at = now
        elif now - self._used_at >= _REST_SECONDS:
            self._begun_cpu = cpu_seconds
        self._last_cpu = cpu_seconds
        self.turn_seconds = cpu_seconds - self._begun_cpu
        self.is_stalled = self.turn_seconds >= seconds_max
