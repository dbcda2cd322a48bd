"""A server started for one run: ready when its port answers, ended with the run."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

START_DEADLINE_SECONDS = 60
STOP_DEADLINE_SECONDS = 15
POLL_SECONDS = 0.05


def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def run_server(
    command: Sequence[str | Path],
    *,
    port: int,
    log_path: Path,
    cwd: Path,
    environment: Mapping[str, str],
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs the command until the block ends; its output goes to `log_path`.

    Raises RuntimeError with that output when it ends early or does not listen in time.
    """
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(environment),  # uvloop takes no other mapping
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        await _wait_until_listening(process, port, log_path)
        yield process
    finally:
        await _stop(process)


async def _wait_until_listening(
    process: asyncio.subprocess.Process, port: int, log_path: Path
) -> None:
    try:
        async with asyncio.timeout(START_DEADLINE_SECONDS):
            while process.returncode is None:
                if await _accepts(port):
                    return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        pass
    raise RuntimeError(f"the server did not start:\n{_tail(log_path)}")


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-5000:]


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_DEADLINE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
