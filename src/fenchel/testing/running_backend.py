"""A complete backend on free ports of the loopback interface, in the test's own event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fenchel.runtime import Runtime
from fenchel.server import Backend, Instance, ServeOptions, compose

INSTANCE = Instance(name="test-instance", secret=bytes(range(32)))


@asynccontextmanager
async def running_backend(
    *,
    data_dir: Path | None = None,
    runtime: Runtime | None = None,
    test_mode: bool = True,
) -> AsyncIterator[Backend]:
    """In memory unless `data_dir` is given; stopped in order at the end.

    In test mode it can `advance_clock` and `reset`.
    """
    options = ServeOptions(
        host="127.0.0.1",
        port=0,
        site_port=0,
        data_dir=data_dir,
        instance=INSTANCE,
        test_mode=test_mode,
    )
    backend = await compose(options, runtime or Runtime())
    try:
        yield backend
    finally:
        await backend.close()
