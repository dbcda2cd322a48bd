"""Who waits for a worker, in which order: client by client in turn, so that one with many requests
holds up nobody but itself. Pure.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

_T = TypeVar("_T")


class FairQueue(Generic[_T]):
    """Start value: empty. Who goes ahead comes before everyone else; the others are taken one of
    each client in turn, those of one client as they came.

    Invariant: no client has an empty line; `len` counts everyone who was added and neither taken
    nor removed.
    """

    def __init__(self) -> None:
        self._ahead: deque[_T] = deque()
        # The client whose turn it is stands first.
        self._lines: OrderedDict[str, deque[_T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: _T, client: str) -> None:
        self._lines.setdefault(client, deque()).append(item)
        self._count += 1

    def add_ahead(self, item: _T) -> None:
        """It counts for no client."""
        self._ahead.append(item)
        self._count += 1

    @property
    def first(self) -> _T:
        """Whose turn it is; it stays so until it is removed. The queue must not be empty."""
        return self._ahead[0] if self._ahead else next(iter(self._lines.values()))[0]

    def remove_first(self) -> None:
        self._count -= 1
        if self._ahead:
            self._ahead.popleft()
            return
        client, line = next(iter(self._lines.items()))
        line.popleft()
        if line:
            self._lines.move_to_end(client)
        else:
            del self._lines[client]

    def discard(self, item: _T, client: str) -> bool:
        """Take it out wherever it stands; whether it was there."""
        line = self._lines.get(client)
        if line is not None and item in line:
            line.remove(item)
            if not line:
                del self._lines[client]
        elif item in self._ahead:
            self._ahead.remove(item)
        else:
            return False
        self._count -= 1
        return True

    def last_of_longest(self, newcomer: str) -> _T | None:
        """Who should leave for one more of `newcomer`: the last of the client that has most in the
        queue. None if that is the newcomer itself.
        """
        longest = max(self._lines, key=lambda client: len(self._lines[client]), default=newcomer)
        line = self._lines.get(longest, deque())
        return None if len(self._lines.get(newcomer, ())) >= len(line) else line[-1]

    def check_invariants(self) -> None:
        assert all(self._lines.values())
        assert self._count == len(self._ahead) + sum(map(len, self._lines.values()))
