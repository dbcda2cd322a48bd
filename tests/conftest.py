"""Settings and servers for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import warm_realms
from tests.postgres_server import PostgresServer
from tests.s3_server import S3Server

# A busy machine is no failure; a failing example prints how to run it again. Every run tries the
# same examples, so that what fails in a change is of that change: `make soak` looks for new ones.
_OF_ALL: dict[str, Any] = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("fenchel", derandomize=True, **_OF_ALL)
settings.register_profile("soak", derandomize=False, **_OF_ALL)
settings.load_profile("fenchel")


def pytest_addoption(parser: pytest.Parser) -> None:
    warm_realms.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--warm-realms"):
        warm_realms.force()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running Postgres. A test that kills it must start it again."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A running S3-compatible store. Tests share its bucket, each below a prefix of its own."""
    server = S3Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()
