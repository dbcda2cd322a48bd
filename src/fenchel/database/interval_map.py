"""Which subscribers' intervals contain a key: the structure that makes a commit cost what it
touches.

Point intervals (single documents) live in a dictionary. Others live in a treap ordered by (start,
end), where each node knows the greatest end below it; a search leaves every subtree that ends
before the key. Rejected: splitting into disjoint segments (quadratic for nested ranges), and
scanning all intervals that start before the key (linear for a busy table).
"""

from __future__ import annotations

import zlib
from typing import Final, Generic, TypeVar

from fenchel.documents import Interval

Subscriber = TypeVar("Subscriber")

# No index key begins with ff (database specification 4.2): an end above every key.
_AFTER_ALL_KEYS: Final = b"\xff"


class _Node(Generic[Subscriber]):
    """One distinct interval. `max_end` is the greatest end in the subtree; priority orders the
    heap."""

    __slots__ = ("end", "left", "max_end", "priority", "right", "start", "subscribers")

    def __init__(self, start: bytes, end: bytes) -> None:
        self.start = start
        self.end = end
        self.max_end = end
        # A hash of the interval: reproducible, and as good as random for keeping the tree flat.
        self.priority = zlib.crc32(end, zlib.crc32(start))
        self.subscribers: set[Subscriber] = set()
        self.left: _Node[Subscriber] | None = None
        self.right: _Node[Subscriber] | None = None

    def update_max_end(self) -> None:
        max_end = self.end
        if self.left is not None and self.left.max_end > max_end:
            max_end = self.left.max_end
        if self.right is not None and self.right.max_end > max_end:
            max_end = self.right.max_end
        self.max_end = max_end


class IntervalMap(Generic[Subscriber]):
    """Intervals of one index, each with the set of its subscribers.

    Cost: add, remove and find take the logarithm of the number of distinct intervals, and find also
    the number of intervals found.
    """

    def __init__(self) -> None:
        self._points: dict[bytes, set[Subscriber]] = {}
        self._root: _Node[Subscriber] | None = None

    def __bool__(self) -> bool:
        return bool(self._points) or self._root is not None

    def add(self, interval: Interval, subscriber: Subscriber) -> None:
        """Let `subscriber` be found by every key of the interval."""
        end = _AFTER_ALL_KEYS if interval.end is None else interval.end
        if end <= interval.start:
            return
        if _is_point(interval.start, end):
            self._points.setdefault(interval.start, set()).add(subscriber)
            return
        node = self._find_node(interval.start, end)
        if node is None:
            node = _Node(interval.start, end)
            self._root = _insert(self._root, node)
        node.subscribers.add(subscriber)

    def remove(self, interval: Interval, subscriber: Subscriber) -> None:
        """Undo one `add`; the pair must be present unless the interval is empty."""
        end = _AFTER_ALL_KEYS if interval.end is None else interval.end
        if end <= interval.start:
            return
        if _is_point(interval.start, end):
            subscribers = self._points[interval.start]
            subscribers.remove(subscriber)
            if not subscribers:
                del self._points[interval.start]
            return
        node = self._find_node(interval.start, end)
        assert node is not None
        node.subscribers.remove(subscriber)
        if not node.subscribers:
            self._root = _remove(self._root, interval.start, end)

    def find(self, key: bytes) -> set[Subscriber]:
        """All subscribers with an interval that contains `key`."""
        found = set(self._points.get(key, ()))
        stack = [] if self._root is None else [self._root]
        while stack:
            node = stack.pop()
            if node.max_end <= key:
                continue
            if node.left is not None:
                stack.append(node.left)
            if node.start <= key:
                if key < node.end:
                    found |= node.subscribers
                if node.right is not None:
                    stack.append(node.right)
        return found

    def check_invariants(self) -> None:
        """Raise AssertionError unless order, heap, ends and subscribers are right in every node."""
        assert all(self._points.values())
        previous: tuple[bytes, bytes] | None = None
        for node in _in_order(self._root):
            assert node.subscribers
            assert previous is None or previous < (node.start, node.end)
            previous = (node.start, node.end)
            children = [child for child in (node.left, node.right) if child is not None]
            assert all(child.priority <= node.priority for child in children)
            assert node.max_end == max([node.end, *(child.max_end for child in children)])

    def _find_node(self, start: bytes, end: bytes) -> _Node[Subscriber] | None:
        node = self._root
        while node is not None and (node.start, node.end) != (start, end):
            node = node.left if (start, end) < (node.start, node.end) else node.right
        return node


def _is_point(start: bytes, end: bytes) -> bool:
    return len(end) == len(start) + 1 and end[-1] == 0 and end.startswith(start)


def _insert(root: _Node[Subscriber] | None, new: _Node[Subscriber]) -> _Node[Subscriber]:
    if root is None:
        return new
    if (new.start, new.end) < (root.start, root.end):
        root.left = _insert(root.left, new)
        if root.left.priority > root.priority:
            return _rotate_right(root)
    else:
        root.right = _insert(root.right, new)
        if root.right.priority > root.priority:
            return _rotate_left(root)
    root.update_max_end()
    return root


def _remove(root: _Node[Subscriber] | None, start: bytes, end: bytes) -> _Node[Subscriber] | None:
    assert root is not None
    if (root.start, root.end) == (start, end):
        return _merge(root.left, root.right)
    if (start, end) < (root.start, root.end):
        root.left = _remove(root.left, start, end)
    else:
        root.right = _remove(root.right, start, end)
    root.update_max_end()
    return root


def _merge(
    left: _Node[Subscriber] | None, right: _Node[Subscriber] | None
) -> _Node[Subscriber] | None:
    if left is None or right is None:
        return right if left is None else left
    if left.priority >= right.priority:
        left.right = _merge(left.right, right)
        left.update_max_end()
        return left
    right.left = _merge(left, right.left)
    right.update_max_end()
    return right


def _rotate_right(root: _Node[Subscriber]) -> _Node[Subscriber]:
    top = root.left
    assert top is not None
    root.left, top.right = top.right, root
    root.update_max_end()
    top.update_max_end()
    return top


def _rotate_left(root: _Node[Subscriber]) -> _Node[Subscriber]:
    top = root.right
    assert top is not None
    root.right, top.left = top.left, root
    root.update_max_end()
    top.update_max_end()
    return top


def _in_order(root: _Node[Subscriber] | None) -> list[_Node[Subscriber]]:
    if root is None:
        return []
    return [*_in_order(root.left), root, *_in_order(root.right)]
