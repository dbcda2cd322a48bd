"""The sync socket: from an ASGI WebSocket to a sync worker, and the set of all open ones."""

from __future__ import annotations

import asyncio
import logging
import re

from fenchel.errors import FenchelError, bad_request, overloaded
from fenchel.runtime import BackgroundTasks, Runtime
from fenchel.server.client_version import decode_release, takes_chunks
from fenchel.server.http_errors import error_response
from fenchel.server.metrics import SYNC_CONNECTIONS, SYNC_CONNECTS, SYNC_QUERIES, SYNC_TRAFFIC
from fenchel.server.request import Receive, Scope, Send, collapse_slashes, decode_headers
from fenchel.server.response import response_headers
from fenchel.server.websocket_protocol import MESSAGE_WRITER, MessageWriter
from fenchel.sync import (
    Authenticator,
    ClientInfo,
    FunctionBackend,
    SharedQueries,
    SocketClosed,
    SyncWorker,
)

logger = logging.getLogger(__name__)

_SYNC_PATH = re.compile(r"/api(?:/(?P<version>[^/]+))?/sync")
SOCKETS_MAX = 10_000


class SyncSocket:
    """`Socket` of a sync worker over an accepted ASGI WebSocket, whose messages leave directly."""

    def __init__(self, receive: Receive, send: Send, writer: MessageWriter) -> None:
        self._receive = receive
        self._send = send
        self._writer = writer
        # For each message, so without a step of our own.
        self.write = writer.write_message

    @property
    def is_writable(self) -> bool:
        return self._writer.is_writable

    async def receive(self) -> str:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise SocketClosed
        text = message.get("text")
        if not isinstance(text, str):
            raise bad_request(
                "WSMessageInvalidJson", "Binary messages are not part of the protocol."
            )
        SYNC_TRAFFIC.received_messages += 1
        SYNC_TRAFFIC.received_bytes += len(text if text.isascii() else text.encode())
        return text

    async def drain(self) -> None:
        await self._writer.writable.wait()

    async def close(self, code: int | None, reason: str) -> None:
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError as error:
            # The ASGI specification (2.4): send raises OSError when the connection is gone.
            raise SocketClosed from error


class SyncSockets:
    """Every worker is in `_workers` from accept to end; `drain` ends them and their actions."""

    def __init__(
        self, *, backend: FunctionBackend, authenticator: Authenticator, runtime: Runtime
    ) -> None:
        self._backend = backend
        self._authenticator = authenticator
        self._runtime = runtime
        self._queries = queries = SharedQueries(backend=backend, runtime=runtime)
        SYNC_QUERIES.set_function(lambda: len(queries))
        self._workers: set[SyncWorker] = set()
        self._actions = BackgroundTasks()
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from the upgrade request to the close frame."""
        connect = await receive()
        assert connect["type"] == "websocket.connect"
        try:
            client = self._accept(scope)
        except FenchelError as error:
            await _reject(error, send)
            return
        await send({"type": "websocket.accept"})
        worker = SyncWorker(
            socket=SyncSocket(receive, send, scope["extensions"][MESSAGE_WRITER]),
            backend=self._backend,
            queries=self._queries,
            authenticator=self._authenticator,
            client=client,
            actions=self._actions,
            runtime=self._runtime,
        )
        await self._run(worker, client)

    def _accept(self, scope: Scope) -> ClientInfo:
        match = _SYNC_PATH.fullmatch(collapse_slashes(scope["path"]))
        if match is None:
            raise bad_request("NotFound", "There is no socket at this path.")
        if self._is_draining or len(self._workers) >= SOCKETS_MAX:
            raise overloaded("TooManyConcurrentRequests", "The server is busy. Try again later.")
        version = match["version"]
        release = None if version is None else decode_release(version)
        if version is not None and release is None:
            raise bad_request("InvalidClientVersion", f"{version!r} is not a semantic version.")
        SYNC_CONNECTS.count(("none" if release is None else "{}.{}.{}".format(*release),))
        client = scope.get("client")
        return ClientInfo(
            takes_chunks=release is not None and takes_chunks(release),
            client_ip=client[0] if client else None,
            user_agent=decode_headers(scope).get("user-agent"),
        )

    async def _run(self, worker: SyncWorker, client: ClientInfo) -> None:
        start = self._runtime.clock.monotonic()
        self._workers.add(worker)
        self._idle.clear()
        SYNC_CONNECTIONS.inc()
        try:
            ending = await worker.run()
        finally:
            SYNC_CONNECTIONS.dec()
            self._workers.discard(worker)
            if not self._workers:
                self._idle.set()
        logger.info(
            "sync connection ended client_ip=%s code=%s reason=%s seconds=%.1f",
            client.client_ip,
            "-" if ending is None else ending.code,
            "peer left" if ending is None else ending.reason or "-",
            self._runtime.clock.monotonic() - start,
        )

    async def drain(self, *, seconds_max: float) -> None:
        """Close all sockets so that their clients connect again, then wait for running actions."""
        self._is_draining = True
        for worker in self._workers:
            worker.shut_down()
        start = self._runtime.clock.monotonic()
        try:
            async with asyncio.timeout(seconds_max):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("drain deadline reached sockets=%d", len(self._workers))
        elapsed = self._runtime.clock.monotonic() - start
        await self._actions.close(wait_seconds=max(seconds_max - elapsed, 0.0))
        await self._queries.close()


async def _reject(error: FenchelError, send: Send) -> None:
    response = error_response(error, "-")
    headers = response_headers(response, (), len(response.body))
    await send(
        {"type": "websocket.http.response.start", "status": response.status, "headers": headers}
    )
    await send({"type": "websocket.http.response.body", "body": response.body})
