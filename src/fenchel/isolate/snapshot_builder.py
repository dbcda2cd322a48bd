"""V8 snapshots with the app's modules evaluated, made by a process that may hang or crash.

Building a snapshot runs module code without V8's limits on time and memory, hence the separate
process with a deadline. No snapshot is no error: the bundle then runs from its script.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.subprocess import DEVNULL, PIPE

from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.frames import (
    FRAME_BYTES_MAX,
    Frame,
    FrameType,
    ProtocolError,
    decode_frame_body,
    encode_frame,
)
from fenchel.isolate.messages import decode_snapshot_result, encode_json_bytes, load_header
from fenchel.isolate.spawn import kill_group, node_command, worker_environment
from fenchel.runtime.settings import IsolateSettings

logger = logging.getLogger(__name__)

_BUILD_SECONDS_MAX = 20.0


class SnapshotBuilder:
    """Builds one snapshot at a time: it takes a core for itself."""

    def __init__(self, settings: IsolateSettings, command: tuple[str, ...] | None = None) -> None:
        self._settings = settings
        self._command = command or node_command(
            "snapshot-builder.cjs", data_bytes_max=settings.worker_data_bytes_max
        )
        self._slot = asyncio.Semaphore(1)

    async def build(self, bundle: CodeBundle) -> bytes | None:
        """Snapshot bytes, or None if this code cannot be snapshotted (the log says why)."""
        async with self._slot:
            try:
                async with asyncio.timeout(_BUILD_SECONDS_MAX):
                    return await self._build(bundle)
            except (TimeoutError, ProtocolError, OSError, asyncio.IncompleteReadError) as error:
                logger.warning("no snapshot bundle=%s error=%r", bundle.key[:12], error)
                return None

    async def _build(self, bundle: CodeBundle) -> bytes | None:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=worker_environment(),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            header = encode_json_bytes(load_header(bundle, self._settings))
            process.stdin.write(encode_frame(FrameType.BUILD_SNAPSHOT, 1, header, bundle.script))
            await process.stdin.drain()
            frame = await _read_frame(process.stdout)
        finally:
            kill_group(process.pid)
            process.stdin.close()
            await process.wait()
        result = decode_snapshot_result(frame)
        if not result.ok:
            logger.warning("no snapshot bundle=%s error=%r", bundle.key[:12], result.message)
            return None
        return frame.fields[1]


async def _read_frame(stream: asyncio.StreamReader) -> Frame:
    length = int.from_bytes(await stream.readexactly(4), "little")
    if length > FRAME_BYTES_MAX:
        raise ProtocolError("frame too large")
    return decode_frame_body(await stream.readexactly(length))
