"""One import and one export of many rows, and what the rest of the process notices of them.

As a program, with a directory and a number of rows, it prints what `measure` gives.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fenchel.application import ImportRequest
from fenchel.database import Transaction
from fenchel.model import get_import
from tests.application.snapshots import Disk, Snapshots

_SECONDS_MAX = 3_000.0
_PART_BYTES = 5 << 20


async def measure(directory: Path, row_count: int) -> dict[str, float]:
    """Rows per second, microseconds of CPU for each, the longest turn of the event loop in
    milliseconds of CPU, and MiB gained."""
    turns: list[float] = []
    async with Disk(directory).process() as snapshots, snapshots.running():
        file = directory / "rows.jsonl"
        with file.open("w") as lines:
            for n in range(row_count):
                lines.write(json.dumps({"n": n, "text": "x" * 100}) + "\n")
        start = _resident_mebibytes()
        report: dict[str, float] = {"rows": row_count}
        for name, work in (("import", _import), ("export", _export)):
            turns.clear()
            began, cpu_began = time.perf_counter(), time.process_time()
            async with watched_turns(turns):
                await work(snapshots, file)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
            report[f"{name}_per_second"] = round(row_count / seconds, 1)
            report[f"{name}_cpu"] = round(cpu / row_count * 1e6, 1)
            report[f"{name}_longest_turn"] = round(max(turns) * 1e3, 1)
        report["mebibytes"] = _resident_mebibytes() - start
        count = await snapshots.database.begin().user().count("rows")
        assert count == row_count
    return report


async def _import(snapshots: Snapshots, file: Path) -> None:
    imports = snapshots.imports
    token = imports.start_upload()
    part_tokens: list[str] = []
    with file.open("rb") as content:
        while part := content.read(_PART_BYTES):
            number = len(part_tokens) + 1
            part_tokens.append(await imports.upload_part(token, number, part))
    request = ImportRequest(format="jsonLines", table_name="rows")
    import_id = await imports.finish_upload(request, token, part_tokens)
    await _wait_for_state(snapshots, import_id, "waiting_for_confirmation")
    await imports.perform(import_id)
    await _wait_for_state(snapshots, import_id, "completed")


async def _wait_for_state(snapshots: Snapshots, import_id: str, name: str) -> None:
    async def is_there(tx: Transaction) -> bool:
        state = (await get_import(tx, import_id)).row.state
        assert state.state != "failed", state
        return state.state == name

    await snapshots.wait_until(is_there, seconds_max=_SECONDS_MAX)


async def _export(snapshots: Snapshots, _: Path) -> None:
    await snapshots.exports.request()
    await snapshots.wait_exported(seconds_max=_SECONDS_MAX)


@asynccontextmanager
async def watched_turns(turns: list[float]) -> AsyncIterator[None]:
    """Inside, `turns` gets the CPU seconds of this thread from each turn of the loop to the next.

    CPU time, so that other programs on the machine do not count.
    """

    async def watch() -> None:
        began = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            ended = time.thread_time()
            turns.append(ended - began)
            began = ended

    watching = asyncio.create_task(watch(), name="watch turns")
    try:
        yield
    finally:
        watching.cancel()


def _resident_mebibytes() -> int:
    """The most that this program had; `getrusage` would count the parent before `exec`, too."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) >> 10


if __name__ == "__main__":
    # As the server does.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1]), int(sys.argv[2])))))
