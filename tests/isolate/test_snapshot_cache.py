"""Snapshots on disk: found again, bounded, and no error when the disk is."""

from __future__ import annotations

import os
from pathlib import Path

from fenchel.isolate import SnapshotCache

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def use_at(folder: Path, key: str, seconds: float) -> None:
    os.utime(folder / key, (seconds, seconds))


async def test_what_was_stored_is_found(tmp_path: Path) -> None:
    cache = SnapshotCache(tmp_path / "new", 1_000)
    assert await cache.load(A) is None
    await cache.store(A, b"one")
    await cache.store(A, b"two")
    assert await SnapshotCache(tmp_path / "new", 1_000).load(A) == b"two"
    assert names(tmp_path / "new") == [A]


async def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    cache = SnapshotCache(tmp_path, 400)
    for seconds, key in enumerate((A, B)):
        await cache.store(key, bytes(100))
        use_at(tmp_path, key, seconds)
    assert await cache.load(A) is not None
    await cache.store(C, bytes(150))
    assert await cache.load(B) is None
    assert await cache.load(A) == bytes(100)
    assert await cache.load(C) == bytes(150)


async def test_one_that_is_too_large_for_all_is_not_kept(tmp_path: Path) -> None:
    cache = SnapshotCache(tmp_path, 100)
    await cache.store(A, bytes(200))
    assert names(tmp_path) == []


async def test_a_damaged_one_is_missing_and_goes(tmp_path: Path) -> None:
    cache = SnapshotCache(tmp_path, 1_000)
    await cache.store(A, bytes(100))
    damaged = bytearray((tmp_path / A).read_bytes())
    damaged[-1] ^= 1
    for content in (bytes(damaged), damaged[:50], b""):
        (tmp_path / A).write_bytes(content)
        assert await cache.load(A) is None
        assert not (tmp_path / A).exists()


async def test_what_a_crash_left_half_written_goes_in_its_turn(tmp_path: Path) -> None:
    (tmp_path / ".writing-x").write_bytes(bytes(300))
    use_at(tmp_path, ".writing-x", 0)
    await SnapshotCache(tmp_path, 400).store(A, bytes(100))
    assert names(tmp_path) == [A]


async def test_a_disk_that_refuses_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = SnapshotCache(tmp_path / "file", 1_000)
    await cache.store(A, b"one")
    assert await cache.load(A) is None
    (tmp_path / B).mkdir()
    assert await SnapshotCache(tmp_path, 1_000).load(B) is None
