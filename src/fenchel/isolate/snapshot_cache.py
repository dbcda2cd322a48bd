"""Snapshots of earlier starts, kept as files: a restart finds its apps evaluated and compiled.

A cache, not data: files are not synced, a damaged one counts as missing, and a disk that refuses is
no error. V8 would end the process that loads a damaged snapshot, hence the digest in each file.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 32
_TEMPORARY_PREFIX = ".writing-"


class SnapshotCache:
    """One file per snapshot in `folder`, at most `bytes_max` together: those used last stay."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max

    async def load(self, key: str) -> bytes | None:
        """`key` is a SHA-256 in hex. None if there is none, or a damaged one."""
        try:
            return await asyncio.to_thread(self._load, key)
        except OSError as error:
            logger.warning("a snapshot cannot be read key=%s error=%r", key[:12], error)
            return None

    async def store(self, key: str, snapshot: bytes) -> None:
        """Keep it, as far as there is room."""
        try:
            await asyncio.to_thread(self._store, key, snapshot)
        except OSError as error:
            logger.warning("a snapshot cannot be kept key=%s error=%r", key[:12], error)

    def _load(self, key: str) -> bytes | None:
        path = self._folder / key
        if not path.exists():
            return None
        content = path.read_bytes()
        snapshot = content[_DIGEST_BYTES:]
        if hashlib.sha256(snapshot).digest() != content[:_DIGEST_BYTES]:
            logger.warning("a snapshot is damaged and built again key=%s", key[:12])
            path.unlink()
            return None
        os.utime(path)
        return snapshot

    def _store(self, key: str, snapshot: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(snapshot).digest())
                file.write(snapshot)
            Path(temporary).rename(self._folder / key)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._make_room()

    def _make_room(self) -> None:
        """Remove what was used longest ago, and what a crash left half written before that."""
        files = [(path.stat(), path) for path in self._folder.iterdir()]
        files.sort(key=lambda file: file[0].st_mtime_ns, reverse=True)
        total_bytes = 0
        for stat, path in files:
            total_bytes += stat.st_size
            if total_bytes > self._bytes_max:
                path.unlink()
