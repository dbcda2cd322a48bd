"""A backend in a process of its own, for tests that are not asynchronous."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from convex import ConvexClient

from fenchel.errors import FenchelError
from fenchel.testing import served_backend


def test_a_blocking_client_reaches_it_and_it_ends_with_the_block() -> None:
    with served_backend() as backend:
        with pytest.raises(Exception, match="ould not find"):
            ConvexClient(backend.url).query("messages:list")
        assert backend.environment["CONVEX_SELF_HOSTED_URL"] == backend.url
        backend.advance_clock(3_600)
        backend.reset()
        with pytest.raises(FenchelError, match="advanceMs") as caught:
            backend.advance_clock(-1)
        assert caught.value.code == "InvalidTime"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(backend.url, timeout=30)
