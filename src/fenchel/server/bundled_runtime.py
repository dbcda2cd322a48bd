"""Whether the JavaScript side, which is built and not written in Python, is installed."""

from __future__ import annotations

from pathlib import Path

import fenchel
from fenchel.errors import ErrorKind, FenchelError

_FOLDER = Path(fenchel.__file__).parent / "_bundled"
_FILES = ("esbuild", "isolate-worker.cjs", "isolated_vm.node", "snapshot-builder.cjs")


def check_bundled_runtime(folder: Path = _FOLDER) -> None:
    """Raises: RuntimeMissing, saying how to get it."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise FenchelError(
            ErrorKind.OPERATIONAL,
            "RuntimeMissing",
            f"The JavaScript runtime is incomplete: {', '.join(missing)} not found in {folder}. "
            "Install Fenchel again, or run `make setup` in a source checkout.",
        )
