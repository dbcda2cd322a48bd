"""Subscribers and one sender: reads a FanoutLoad on standard input, writes a FanoutReport.

All clocks are this process's own. A subscriber "has" the result when the frame that carries the
sent text has fully arrived.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
import uuid
from dataclasses import dataclass, field

import msgspec
import uvloop

from benchmarks.http_client import HttpConnection, encode_request
from benchmarks.load import Call, FanoutLoad, FanoutReport, percentile
from benchmarks.process_usage import process_cpu_seconds, process_resident_bytes
from benchmarks.socket_client import SocketConnection

# Ten thousand distinct queries take a slow machine a while.
SEND_DEADLINE_SECONDS = 120
# Connections that are opened at the same time.
CONNECT_COUNT_MAX = 200
# Stand in a hello message for an id, and for a number, of the subscriber's own.
SESSION_ID = "SESSION-ID"
NONCE = "NONCE"


class Fanout:
    """One send at a time: counts who has seen it, and when."""

    def __init__(self, load: FanoutLoad) -> None:
        self._load = load
        self._marker = b'"_id"'  # first each subscriber must get its initial result
        self._sent_ns = 0
        self._missing: set[int] = set(range(load.subscribers))
        self._has_response = True
        self._step = asyncio.get_running_loop().create_future()
        self.arrivals_ms: list[float] = []
        self.received_bytes = 0
        self.response_ms = 0.0
        self.http = HttpConnection(self._on_response, self.fail)

    def fail(self, error: Exception) -> None:
        if not self._step.done():
            self._step.set_exception(error)

    def on_message(self, number: int, message: bytes) -> None:
        self.received_bytes += len(message)
        if number in self._missing and self._marker in message:
            self._missing.discard(number)
            self.arrivals_ms.append((time.perf_counter_ns() - self._sent_ns) / 1e6)
            self._end_step()

    def _on_response(self, body: bytes) -> None:
        if b'"success"' not in body:
            self.fail(RuntimeError(f"the send failed: {body[:500]!r}"))
            return
        self.response_ms = (time.perf_counter_ns() - self._sent_ns) / 1e6
        self._has_response = True
        self._end_step()

    def _end_step(self) -> None:
        if not self._missing and self._has_response and not self._step.done():
            self._step.set_result(None)

    async def wait(self) -> None:
        """Returns when every subscriber has what it waits for, and the send its response."""
        try:
            await asyncio.wait_for(self._step, SEND_DEADLINE_SECONDS)
        except TimeoutError:
            raise RuntimeError(f"{len(self._missing)} subscribers were not told") from None

    async def send(self, number: int) -> None:
        text = f"live-{self._load.first_sequence + number}-end"
        call = Call(
            path=f"{self._load.module}:send",
            args=[{"channel": "channel-0", "author": self._load.member, "body": text}],
        )
        request = encode_request("mutation", msgspec.json.encode(call))
        self._marker = text.encode()
        self._missing = set(range(self._load.subscribers))
        self._has_response = False
        self._step = asyncio.get_running_loop().create_future()
        self.arrivals_ms = []
        self._sent_ns = time.perf_counter_ns()
        self.http.send(request)
        await self.wait()


@dataclass(slots=True, kw_only=True)
class Samples:
    """Milliseconds of all measured sends."""

    each: list[float] = field(default_factory=list)
    slowest: list[float] = field(default_factory=list)
    responses: list[float] = field(default_factory=list)


async def run(load: FanoutLoad) -> FanoutReport:
    """Opens all subscribers, then sends one message after another."""
    fanout = Fanout(load)
    memory_before = process_resident_bytes(load.process_id)
    start = time.perf_counter()
    sockets = await _open_subscribers(load, fanout)
    connect_seconds = time.perf_counter() - start
    memory_bytes = process_resident_bytes(load.process_id) - memory_before
    for number in range(load.warm_up_sends):
        await fanout.send(number)
    cpu_before, bytes_before = process_cpu_seconds(load.process_id), fanout.received_bytes
    samples = await _measure_sends(fanout, load)
    cpu_seconds = process_cpu_seconds(load.process_id) - cpu_before
    for socket in sockets:
        socket.close()
    return _report(
        samples,
        connect_ms=connect_seconds * 1e3,
        server_cpu_us=cpu_seconds * 1e6 / load.sends / load.subscribers,
        memory_kib=memory_bytes / 1024 / load.subscribers,
        sent_bytes=(fanout.received_bytes - bytes_before) / load.sends / load.subscribers,
    )


async def _open_subscribers(load: FanoutLoad, fanout: Fanout) -> list[SocketConnection]:
    """Returns when all have their first result."""
    loop = asyncio.get_running_loop()
    sockets = [
        SocketConnection(
            load.socket_path,
            _hello(load, number),
            lambda message, n=number: fanout.on_message(n, message),  # type: ignore[misc]
            fanout.fail,
        )
        for number in range(load.subscribers)
    ]
    connecting = asyncio.Semaphore(CONNECT_COUNT_MAX)

    async def connect(socket: SocketConnection) -> None:
        async with connecting:
            await loop.create_connection(lambda: socket, "127.0.0.1", load.port)

    async with asyncio.TaskGroup() as group:
        for socket in sockets:
            group.create_task(connect(socket), name="connect")
    await loop.create_connection(lambda: fanout.http, "127.0.0.1", load.port)
    await fanout.wait()
    return sockets


def _hello(load: FanoutLoad, number: int) -> list[str]:
    nonce = f"{number if load.is_distinct else 0}.0"
    return [
        text.replace(SESSION_ID, str(uuid.uuid4())).replace(f'"{NONCE}"', nonce)
        for text in load.hello
    ]


async def _measure_sends(fanout: Fanout, load: FanoutLoad) -> Samples:
    samples = Samples()
    for number in range(load.sends):
        await fanout.send(load.warm_up_sends + number)
        samples.each.extend(fanout.arrivals_ms)
        samples.slowest.append(max(fanout.arrivals_ms))
        samples.responses.append(fanout.response_ms)
    return samples


def _report(
    samples: Samples,
    *,
    connect_ms: float,
    server_cpu_us: float,
    memory_kib: float,
    sent_bytes: float,
) -> FanoutReport:
    each, slowest = sorted(samples.each), sorted(samples.slowest)
    return FanoutReport(
        connect_ms=connect_ms,
        each_p50_ms=percentile(each, 0.50),
        each_p99_ms=percentile(each, 0.99),
        all_p50_ms=percentile(slowest, 0.50),
        all_p99_ms=percentile(slowest, 0.99),
        response_p50_ms=percentile(sorted(samples.responses), 0.50),
        server_cpu_us=server_cpu_us,
        memory_kib=memory_kib,
        sent_bytes=sent_bytes,
    )


def _raise_file_limit() -> None:
    """Each subscriber is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    _raise_file_limit()
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=FanoutLoad)
    report = uvloop.run(run(load))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
