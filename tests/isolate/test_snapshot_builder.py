"""Snapshots are a bonus: code that cannot have one gets None in time, never an error."""

import dataclasses
import sys
from pathlib import Path

import pytest

from fenchel.isolate import (
    BundleInputs,
    Bundler,
    CodeBundle,
    ModuleSource,
    SnapshotBuilder,
    SnapshotCache,
)
from fenchel.isolate import snapshot_builder as module_under_test
from fenchel.isolate.frames import FrameType, encode_frame
from fenchel.runtime.settings import IsolateSettings


async def bundle_of(source: str) -> CodeBundle:
    inputs = BundleInputs(
        modules=[ModuleSource(path="m.js", source=source)],
        environment_variables={},
        import_seed=bytes(32),
        import_unix_ms=0,
    )
    return await Bundler().bundle(inputs)


async def test_ordinary_code_has_a_snapshot() -> None:
    bundle = await bundle_of("export const x = 1;")
    snapshot = await SnapshotBuilder(IsolateSettings()).build(bundle)
    assert snapshot is not None
    assert len(snapshot) > 100_000


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.exit(1)",
        "import time; time.sleep(1000)",
        "import sys; sys.stdout.buffer.write(b'\\xff' * 100)",
        "import sys; sys.stdout.buffer.write(b'\\x05\\0\\0\\0\\xc9\\x01\\0\\0\\0')",
    ],
)
async def test_a_builder_that_fails_gives_none(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_under_test, "_BUILD_SECONDS_MAX", 0.5)
    monkeypatch.setattr(module_under_test, "_REHEARSAL_SECONDS_MAX", 0.25)
    bundle = await bundle_of("export const x = 1;")
    builder = SnapshotBuilder(IsolateSettings(), command=(sys.executable, "-S", "-c", program))
    assert await builder.build(bundle) is None


async def test_a_builder_that_takes_too_much_memory_is_ended() -> None:
    bundle = await bundle_of("export const x = 1;")
    program = "kept = []\nwhile True: kept.append(bytearray(b'x') * 10_000_000)"
    settings = IsolateSettings(worker_resident_bytes_max=256 << 20)
    builder = SnapshotBuilder(settings, command=(sys.executable, "-S", "-c", program))
    assert await builder.build(bundle) is None


async def test_code_that_fills_all_memory_it_gets_has_a_snapshot() -> None:
    """The function ends at a limit, which is not there while a snapshot is built."""
    source = """
const kept = [];
const fill = async () => { try { for (;;) kept.push(new ArrayBuffer(1 << 24)); } catch {} };
export const f = { isQuery: true, invokeQuery: fill };
"""
    assert await SnapshotBuilder(IsolateSettings()).build(await bundle_of(source)) is not None


async def test_a_builder_that_cannot_start_gives_none(tmp_path: Path) -> None:
    bundle = await bundle_of("export const x = 1;")
    builder = SnapshotBuilder(IsolateSettings(), command=(str(tmp_path / "nothing"),))
    assert await builder.build(bundle) is None


async def test_a_kept_snapshot_needs_no_process(tmp_path: Path) -> None:
    cache = SnapshotCache(tmp_path, 1 << 30)
    bundle = await bundle_of("export const x = 1;")
    built = await SnapshotBuilder(IsolateSettings(), cache=cache).build(bundle)
    nowhere = (str(tmp_path / "nothing"),)
    again = SnapshotBuilder(IsolateSettings(), command=nowhere, cache=cache)
    assert built is not None
    assert await again.build(bundle) == built
    assert await again.build(await bundle_of("export const x = 2;")) is None
    other_limits = IsolateSettings(log_lines_max=7)
    builder = SnapshotBuilder(other_limits, command=nowhere, cache=cache)
    assert await builder.build(bundle) is None


# Answers with the file that is its argument, or ends if it cannot rehearse and is asked to.
ANSWERS = """
import sys
request = sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(4), "little"))
if b'"isRehearsed":true' in request:
    open(sys.argv[2], "a").write("x")
    if sys.argv[3] == "refuses": sys.exit(1)
sys.stdout.buffer.write(open(sys.argv[1], "rb").read())
"""


def answering_builder(folder: Path, manner: str) -> SnapshotBuilder:
    """Notes each request for a rehearsal in the file `asked`."""
    answer, asked = folder / "answer", folder / "asked"
    answer.write_bytes(encode_frame(FrameType.SNAPSHOT, 0, b'{"ok":true}', b"a snapshot"))
    command = sys.executable, "-S", "-c", ANSWERS, str(answer), str(asked), manner
    return SnapshotBuilder(IsolateSettings(), command=command)


async def test_a_script_whose_rehearsal_failed_is_not_rehearsed_again(tmp_path: Path) -> None:
    builder = answering_builder(tmp_path, "refuses")
    bundle = await bundle_of("export const x = 1;")
    for value in "ab":
        changed = dataclasses.replace(bundle, environment_variables={"A": value})
        assert await builder.build(changed) == b"a snapshot"
    assert (tmp_path / "asked").read_text() == "x"
    assert await builder.build(await bundle_of("export const x = 2;")) == b"a snapshot"
    assert (tmp_path / "asked").read_text() == "xx"


async def test_only_so_many_scripts_without_rehearsal_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_under_test, "_UNREHEARSED_MAX", 1)
    builder = answering_builder(tmp_path, "refuses")
    bundles = [await bundle_of(f"export const x = {number};") for number in (1, 2)]
    for bundle in (*bundles, bundles[0]):
        await builder.build(bundle)
    assert (tmp_path / "asked").read_text() == "xxx"


async def test_a_rehearsal_may_take_less_memory_than_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for Node and an isolate; the rest is for apps, in proportion to their scripts."""
    looks: list[int] = []

    def read_much(pid: int) -> int:
        looks.append(pid)
        return 300 << 20

    monkeypatch.setattr(module_under_test, "read_resident_bytes", read_much)
    builder = answering_builder(tmp_path, "rehearses")
    assert await builder.build(await bundle_of("export const x = 1;")) == b"a snapshot"
    assert len(set(looks)) == 2
    looks.clear()
    large = await bundle_of(f"export const x = '{'x' * 5_000_000}';")
    assert await builder.build(large) == b"a snapshot"
    assert len(set(looks)) == 1
