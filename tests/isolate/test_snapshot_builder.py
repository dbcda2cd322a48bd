"""Snapshots are a bonus: code that cannot have one gets None in time, never an error."""

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
