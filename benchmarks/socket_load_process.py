"""The load generator for live queries: reads a SocketLoad on standard input, writes a LoadReport.

Closed loop: each connection has one query. When it has the result, it removes the query and adds it
again under another id, in one message; the answer to that is one Transition.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import uvloop

from benchmarks.load import LIST_LENGTH, LoadReport, SocketLoad
from benchmarks.load_process import Generator
from benchmarks.socket_client import SocketConnection

_PING = b'{"type":"Ping"}'
_MODIFY = (
    b'{"type":"ModifyQuerySet","baseVersion":%d,"newVersion":%d,"modifications":[%b'
    b'{"type":"Add","queryId":%d,"udfPath":"%b","args":[%b]}]}'
)
_REMOVE = b'{"type":"Remove","queryId":%d},'


class Client:
    """One connection. `_version` is that of the query set that the server knows."""

    def __init__(self, generator: Generator, spec: SocketLoad) -> None:
        request = spec.load.request
        self._path = f"{spec.module}:{request.function}".encode()
        self._args = request.args.encode()
        self._generator = generator
        self._version = 0
        self._sent_ns = 0
        self.connection = SocketConnection(
            spec.socket_path, [], self._on_message, generator.fail, on_open=self._open
        )
        self.is_open = asyncio.get_running_loop().create_future()

    def send(self) -> None:
        version = self._version
        removal = _REMOVE % version if version else b""
        self._version = version + 1
        text = _MODIFY % (version, version + 1, removal, version + 1, self._path, self._args)
        self._sent_ns = time.perf_counter_ns()
        self.connection.send(text)

    def _open(self) -> None:
        self.is_open.set_result(None)

    def _on_message(self, message: bytes) -> None:
        now_ns = time.perf_counter_ns()
        if message == _PING:
            return
        try:
            check_transition(message)
        except ValueError as error:
            self._generator.fail(error)
            return
        if self._generator.take(self._sent_ns, now_ns):
            self.send()


def check_transition(message: bytes) -> None:
    """Raises ValueError unless the message is a Transition with a list."""
    if message.count(b'"_id"') != LIST_LENGTH or not message.startswith(b'{"type":"Transition"'):
        raise ValueError(f"not a list of {LIST_LENGTH}: {message[:500]!r}")


async def run(spec: SocketLoad) -> LoadReport:
    """Runs the load to its end. Raises the first failure of any connection."""
    loop = asyncio.get_running_loop()
    generator = Generator(spec.load, spec.process_id)
    clients = [Client(generator, spec) for _ in range(spec.load.connections)]
    for client in clients:
        await loop.create_connection(lambda c=client: c.connection, "127.0.0.1", spec.port)  # type: ignore[misc]
        await client.is_open

    def begin() -> None:
        for client in clients:
            client.send()

    report = await generator.measure(begin)
    for client in clients:
        client.connection.close()
    return report


def main() -> None:
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=SocketLoad)
    report = uvloop.run(run(spec))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
