"""The server of the end-to-end tests, for apps with components."""

from tests.end_to_end.conftest import server, start_server

__all__ = ["server", "start_server"]
