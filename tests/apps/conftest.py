"""Two backends, each with a thread that deploys to it one app after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from fenchel.testing import served_backend
from tests.apps.app_driver import AppDriver
from tests.apps.identity_provider import identity_provider

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

# The official CLI keeps one core busy for one to three seconds, half of it waiting.
_BACKENDS = 2


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[None]]]:
    """What becomes of each case that this session was asked for; all of them are under way."""
    names = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and "outcomes" in item.fixturenames
    ]
    with ExitStack() as stack:
        provider = stack.enter_context(identity_provider())
        drivers: SimpleQueue[AppDriver] = SimpleQueue()
        count = min(_BACKENDS, len(names))
        for _ in range(count):
            backend = stack.enter_context(served_backend())
            folder = tmp_path_factory.mktemp("apps")
            drivers.put(AppDriver(backend=backend, provider=provider, folder=folder))

        def run(name: str) -> None:
            driver = drivers.get_nowait()
            try:
                driver.run(name)
            finally:
                drivers.put(driver)

        pool = stack.enter_context(ThreadPoolExecutor(count, thread_name_prefix="apps"))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        yield {name: pool.submit(run, name) for name in names}
