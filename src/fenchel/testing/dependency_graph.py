"""Who must come before whom, and the cycles that show that no serial order exists.

Pure. Source: A. Adya, "Weak Consistency" (1999), chapter 4, for the names of the cycles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import IntFlag, auto
from typing import Final, NamedTuple


class Dependency(IntFlag):
    """Why one transaction precedes another."""

    # It wrote what the other wrote over.
    WW = auto()
    # It wrote what the other read.
    WR = auto()
    # It read what the other wrote over.
    RW = auto()
    # It had ended before the other began.
    REAL_TIME = auto()


class Cycle(NamedTuple):
    """`name` is the mildest promise that the cycle breaks; `path` ends where it began."""

    name: str
    path: tuple[tuple[int, Dependency], ...]

    def __str__(self) -> str:
        steps = " ".join(f"T{node} -{kind.name}->" for node, kind in self.path)
        return f"{self.name}: {steps} T{self.path[0][0]}"


_WRITES: Final = Dependency.WW
_READS: Final = Dependency.WW | Dependency.WR
_ALL: Final = _READS | Dependency.RW


class DependencyGraph:
    """Nodes are numbers from 0; an edge may stand for several dependencies."""

    def __init__(self, node_count: int) -> None:
        self._edges: list[dict[int, Dependency]] = [{} for _ in range(node_count)]

    def add_node(self) -> int:
        """A further node, such as a moment in time."""
        self._edges.append({})
        return len(self._edges) - 1

    def add(self, before: int, after: int, kind: Dependency) -> None:
        """An edge, unless both are the same."""
        if before != after:
            edges = self._edges[before]
            edges[after] = edges.get(after, kind) | kind

    def find_cycles(self) -> list[Cycle]:
        """One cycle for each set of nodes that depend on each other, the worst that it holds."""
        everything = _ALL | Dependency.REAL_TIME
        return [
            self._worst_cycle(component) for component in self._components(everything) if component
        ]

    def _worst_cycle(self, component: frozenset[int]) -> Cycle:
        for suffix, extra in (("", Dependency(0)), (" with real time", Dependency.REAL_TIME)):
            for name, kinds in (("G0", _WRITES), ("G1c", _READS)):
                cycle = self._first_cycle(component, kinds | extra, kinds | extra)
                if cycle is not None:
                    return Cycle(name + suffix, cycle)
            cycle = self._first_cycle(component, Dependency.RW, _READS | extra)
            if cycle is not None:
                return Cycle("G-single" + suffix, cycle)
            cycle = self._first_cycle(component, Dependency.RW, _ALL | extra)
            if cycle is not None:
                return Cycle("G2" + suffix, cycle)
        raise AssertionError("a component without a cycle")

    def _first_cycle(
        self, component: frozenset[int], first: Dependency, rest: Dependency
    ) -> tuple[tuple[int, Dependency], ...] | None:
        """A cycle that begins with an edge of `first` and returns over edges of `rest`."""
        for before in sorted(component):
            for after, kind in self._edges[before].items():
                if kind & first and after in component:
                    path = self._shortest_path(component, after, before, rest)
                    if path is not None:
                        return ((before, _lowest(kind & first)), *path)
        return None

    def _shortest_path(
        self, component: frozenset[int], start: int, end: int, kinds: Dependency
    ) -> list[tuple[int, Dependency]] | None:
        came_from: dict[int, tuple[int, Dependency]] = {}
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            if node == end:
                return _walk_back(came_from, start, end)
            for after, kind in self._edges[node].items():
                is_new = after in component and after not in came_from and after != start
                if is_new and kind & kinds:
                    came_from[after] = (node, _lowest(kind & kinds))
                    waiting.append(after)
        return None

    def _components(self, kinds: Dependency) -> Iterator[frozenset[int]]:
        """Strongly connected components of two or more nodes (Tarjan's algorithm, with its own
        stack)."""
        order: dict[int, int] = {}
        low: dict[int, int] = {}
        open_nodes: list[int] = []
        is_open: set[int] = set()
        for root in range(len(self._edges)):
            if root in order:
                continue
            calls = [(root, iter(self._edges[root].items()))]
            order[root] = low[root] = len(order)
            open_nodes.append(root)
            is_open.add(root)
            while calls:
                node, rest = calls[-1]
                for after, kind in rest:
                    if not kind & kinds:
                        continue
                    if after not in order:
                        order[after] = low[after] = len(order)
                        open_nodes.append(after)
                        is_open.add(after)
                        calls.append((after, iter(self._edges[after].items())))
                        break
                    if after in is_open:
                        low[node] = min(low[node], order[after])
                else:
                    calls.pop()
                    if calls:
                        parent = calls[-1][0]
                        low[parent] = min(low[parent], low[node])
                    if low[node] == order[node]:
                        place = open_nodes.index(node) if open_nodes[-1] != node else -1
                        component = frozenset(open_nodes[place:])
                        del open_nodes[place:]
                        is_open -= component
                        if len(component) > 1:
                            yield component


def _lowest(kinds: Dependency) -> Dependency:
    """The strongest of several dependencies: WW before WR before RW before real time."""
    return Dependency(kinds & -kinds)


def _walk_back(
    came_from: dict[int, tuple[int, Dependency]], start: int, end: int
) -> list[tuple[int, Dependency]]:
    path: list[tuple[int, Dependency]] = []
    node = end
    while node != start:
        before, kind = came_from[node]
        path.append((before, kind))
        node = before
    return path[::-1]
