"""One worker process: ready in time, killed for every breach, never left behind."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from fenchel.errors import FenchelError
from fenchel.isolate.frames import Frame, FrameType
from fenchel.isolate.spawn import worker_command
from fenchel.isolate.worker_process import ProcessEnd, WorkerProcess
from fenchel.runtime.settings import IsolateSettings
from tests.isolate.worker_scripts import command


class Recorder:
    """A handler that writes down what happens."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.deaths: list[str] = []
        self.ends: list[ProcessEnd] = []
        self.dead = asyncio.Event()
        self.heard = asyncio.Event()

    def on_frame(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.heard.set()

    def on_sync_call(self, frame: Frame) -> tuple[bool, bytes]:
        self.frames.append(frame)
        return True, b"answer to " + frame.fields[0]

    def on_death(self, reason: str) -> None:
        self.deaths.append(reason)
        self.dead.set()

    def on_buried(self, end: ProcessEnd) -> None:
        self.ends.append(end)


SETTINGS = IsolateSettings(worker_start_seconds_max=20.0)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def start(folder: Path, body: str) -> tuple[WorkerProcess, Recorder]:
    recorder = Recorder()
    process, _ = await WorkerProcess.start(command(folder, body), recorder, SETTINGS)
    return process, recorder


async def expect_death(folder: Path, body: str, reason: str) -> None:
    process, recorder = await start(folder, "ready()\nreceive()\n" + body)
    process.send(FrameType.UNLOAD, 1)
    await recorder.dead.wait()
    await process.wait_dead()
    assert len(recorder.deaths) == 1
    assert reason in recorder.deaths[0]
    assert not process.is_alive
    assert not is_running(process.pid)


async def test_the_real_worker_gets_ready_and_dies_when_killed() -> None:
    recorder = Recorder()
    process, ready = await WorkerProcess.start(worker_command(SETTINGS), recorder, SETTINGS)
    assert ready.node.startswith("24.")
    assert environment_of(process.pid) == b"TZ=UTC\x00"
    process.kill("enough")
    await process.wait_dead()
    assert recorder.deaths == ["enough"]
    assert not is_running(process.pid)


async def test_frames_and_synchronous_calls_arrive(tmp_path: Path) -> None:
    body = """
ready()
sync.sendall(frame(129, 7, b"op", b"{}"))
_, id, fields = receive(sync)
send(66, id, fields[0] + b" " + fields[1])
receive()
"""
    process, recorder = await start(tmp_path, body)
    await recorder.heard.wait()
    assert recorder.frames[0] == Frame(FrameType.SYNC_CALL, 7, (b"op", b"{}"))
    assert recorder.frames[1] == Frame(FrameType.LOADED, 7, (b"1 answer to op",))
    process.kill("done")
    await process.wait_dead()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("channel.sendall(b'\\xff' * 100)\nreceive()", "frame too large"),
        ("sync.sendall(b'\\xff' * 100)\nreceive()", "frame too large"),
        ("sync.sendall(frame(67, 1))\nreceive()", "not a synchronous call"),
        ("channel.close()\nreceive(sync)", "channel closed"),
        ("sync.close()\nreceive()", "channel closed"),
        ("os._exit(3)", "channel closed"),
    ],
)
async def test_a_breach_of_the_protocol_kills(tmp_path: Path, body: str, reason: str) -> None:
    await expect_death(tmp_path, body, reason)


@pytest.mark.parametrize(
    ("body", "signal_number"),
    [
        ("os._exit(3)", 0),
        ("os.abort()", signal.SIGABRT),
        ("os.kill(os.getpid(), 9)", signal.SIGKILL),
    ],
)
async def test_the_end_of_a_process_is_told_with_its_signal(
    tmp_path: Path, body: str, signal_number: int
) -> None:
    process, recorder = await start(tmp_path, "ready()\nreceive()\n" + body)
    process.send(FrameType.UNLOAD, 1)
    await recorder.dead.wait()
    await process.wait_dead()
    (end,) = recorder.ends
    assert (end.signal, end.is_ours) == (signal_number, False)


async def test_an_end_that_we_decided_is_told_as_ours(tmp_path: Path) -> None:
    process, recorder = await start(tmp_path, "ready()\nreceive()")
    process.kill("enough")
    await process.wait_dead()
    assert recorder.ends == [ProcessEnd(reason="enough", signal=signal.SIGKILL, is_ours=True)]


@pytest.mark.parametrize(
    "body",
    [
        "send(67, 1, [])\nreceive()",
        'send(65, 0, {"protocol": 9, "node": "", "v8": "", "runtimeDigest": ""})\nreceive()',
        "send(65, 0, b'not json')\nreceive()",
        "sys.exit(1)",
    ],
)
async def test_a_worker_that_starts_wrongly_is_an_error(tmp_path: Path, body: str) -> None:
    with pytest.raises(FenchelError):
        await start(tmp_path, body)


async def test_a_worker_that_is_never_ready_is_killed(tmp_path: Path) -> None:
    settings = IsolateSettings(worker_start_seconds_max=0.05)
    recorder = Recorder()
    with pytest.raises(FenchelError, match="not ready in time"):
        await WorkerProcess.start(command(tmp_path, "time.sleep(1000)"), recorder, settings)
    assert recorder.deaths == ["failed to start"]


async def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FenchelError, match="cannot start"):
        await WorkerProcess.start((str(tmp_path / "nothing"),), Recorder(), SETTINGS)
