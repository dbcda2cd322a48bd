"""The two TCP listeners and the uvicorn servers behind them. No signal handlers: the command line
owns those.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import uvicorn

from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime.settings import SyncSettings
from fenchel.server.answer_cache import AnswerCache
from fenchel.server.http_protocol import HttpProtocol
from fenchel.server.websocket_protocol import SyncWebSocketProtocol

BACKLOG = 2_048
KEEP_ALIVE_SECONDS = 65
# WebSocket-level pings find out that a client is gone. Python's gives up after 30 s without a frame
# (client-protocol 3.14), but hears the application's pings too.
PING_SECONDS = 15.0
# Connections that do not end by themselves when the server stops are cut after this long.
CLOSE_SECONDS_MAX = 2
START_SECONDS_MAX = 10.0


def bind(host: str, port: int, *, option: str) -> socket.socket:
    """A bound socket; port 0 takes any free one. Raises: PortNotAvailable, saying what to do."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise _not_available(host, port, option, error) from error
    return listener


def _not_available(host: str, port: int, option: str, error: OSError) -> FenchelError:
    if error.errno == errno.EADDRINUSE:
        text = f"Port {port} is already in use. Stop the other program or choose another {option}."
    else:
        text = (
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Check --host and {option}."
        )
    return FenchelError(ErrorKind.OPERATIONAL, "PortNotAvailable", text)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = asyncio.Event()
        self.stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()

    async def main_loop(self) -> None:
        """Renew the date header every second until `stop`; uvicorn's own loop polls ten times."""
        while not self.stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self.stop.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _http_protocol(answers: AnswerCache) -> type[asyncio.Protocol]:
    """uvicorn calls it for each connection, and asks nothing else of it."""
    return cast(type[asyncio.Protocol], partial(HttpProtocol, answers=answers))


class Listener:
    """One port, with a short way for known `answers`. start -> serving; `stop_accepting` refuses
    new connections; `close` ends all of them.
    """

    def __init__(
        self,
        listener: socket.socket,
        application: Any,
        sync: SyncSettings,
        *,
        answers: AnswerCache,
    ) -> None:
        self._socket = listener
        self.port: int = listener.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                application,
                http=_http_protocol(answers),
                ws=SyncWebSocketProtocol,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=CLOSE_SECONDS_MAX,
                ws_max_size=sync.message_bytes_max,
                ws_ping_interval=PING_SECONDS,
                ws_ping_timeout=sync.client_silence_seconds_max,
                ws_per_message_deflate=False,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when connections are accepted."""
        self._task = asyncio.create_task(
            self._server.serve(sockets=[self._socket]), name=f"listener {self.port}"
        )
        async with asyncio.timeout(START_SECONDS_MAX):
            await self._server.is_ready.wait()

    def stop_accepting(self) -> None:
        for server in self._server.servers:
            server.close()

    async def close(self) -> None:
        self._server.stop.set()
        if self._task is not None:
            await self._task
        self._socket.close()
