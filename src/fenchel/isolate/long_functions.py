"""Functions that computed for long when they ran last: they never get all workers. Pure."""

from __future__ import annotations

from collections import OrderedDict

from fenchel.definitions import FunctionPath

# Processor time of one execution: several times what makes its neighbours move.
_LONG_SECONDS = 0.1
_COUNT_MAX = 1_000


class LongFunctions:
    """Start value: none. By code and path; those noted last, up to a bound."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, FunctionPath], None] = OrderedDict()

    def has(self, bundle_key: str, path: FunctionPath) -> bool:
        return bool(self._found) and (bundle_key, path) in self._found

    def note_running(self, bundle_key: str, path: FunctionPath, user_seconds: float) -> None:
        """How long an execution that goes on has computed: enough already, or nothing is known."""
        if user_seconds >= _LONG_SECONDS:
            self.note(bundle_key, path, user_seconds)

    def note(self, bundle_key: str, path: FunctionPath, user_seconds: float) -> None:
        """How long an execution computed."""
        if user_seconds >= _LONG_SECONDS:
            self._found[bundle_key, path] = None
            self._found.move_to_end((bundle_key, path))
            if len(self._found) > _COUNT_MAX:
                self._found.popitem(last=False)
        elif self._found:
            self._found.pop((bundle_key, path), None)
