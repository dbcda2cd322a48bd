"""The lock that keeps a second process away from a data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fenchel.errors import ErrorKind, FenchelError

_LOCK_NAME = "fenchel.lock"


class DataDirectoryLock:
    """Holds `<directory>/fenchel.lock` until `release`, or until the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, directory: Path) -> DataDirectoryLock:
        """Create the directory if needed and lock it.

        Raises: DataDirectoryNotWritable; DataDirectoryLocked if another process holds it.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise not_writable(directory, error.strerror or str(error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise FenchelError(
                ErrorKind.OPERATIONAL,
                "DataDirectoryLocked",
                f"The data directory {directory} is used by another process. Stop that process or "
                "choose another data directory.",
            ) from error
        return cls(descriptor)

    def release(self) -> None:
        """Let another process have the directory; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def not_writable(directory: Path, reason: str) -> FenchelError:
    """The data cannot be written where the user asked for it."""
    return FenchelError(
        ErrorKind.OPERATIONAL,
        "DataDirectoryNotWritable",
        f"Cannot write to the data directory {directory}: {reason}. Check its permissions and the "
        "free space, or choose another data directory.",
    )
