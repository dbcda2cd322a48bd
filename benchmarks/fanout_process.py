"""Subscribers and one sender: reads a FanoutLoad on standard input, writes a FanoutReport.

All clocks are this process's own. A subscriber "has" the result when the frame that carries the
sent text has fully arrived.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid

import msgspec
import uvloop

from benchmarks.http_client import HttpConnection, encode_request
from benchmarks.load import Call, FanoutLoad, FanoutReport, percentile
from benchmarks.socket_client import SocketConnection

SEND_DEADLINE_SECONDS = 10
# Stands in a hello message for an id of the subscriber's own.
SESSION_ID = "SESSION-ID"
# Sends before the first measured one: connections, caches and JIT compilers settle.
WARM_UP_SENDS = 5


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
        self.response_ms = 0.0
        self.http = HttpConnection(self._on_response, self.fail)

    def fail(self, error: Exception) -> None:
        if not self._step.done():
            self._step.set_exception(error)

    def on_message(self, number: int, message: bytes) -> None:
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


async def run(load: FanoutLoad) -> FanoutReport:
    """Opens all subscribers, then sends one message after another."""
    loop = asyncio.get_running_loop()
    fanout = Fanout(load)
    sockets = [
        SocketConnection(
            load.socket_path,
            [text.replace(SESSION_ID, str(uuid.uuid4())) for text in load.hello],
            lambda message, n=number: fanout.on_message(n, message),  # type: ignore[misc]
            fanout.fail,
        )
        for number in range(load.subscribers)
    ]
    for socket in sockets:
        await loop.create_connection(lambda s=socket: s, "127.0.0.1", load.port)  # type: ignore[misc]
    await loop.create_connection(lambda: fanout.http, "127.0.0.1", load.port)
    await fanout.wait()
    each: list[float] = []
    slowest: list[float] = []
    responses: list[float] = []
    for number in range(WARM_UP_SENDS + load.sends):
        await fanout.send(number)
        if number >= WARM_UP_SENDS:
            each.extend(fanout.arrivals_ms)
            slowest.append(max(fanout.arrivals_ms))
            responses.append(fanout.response_ms)
    for socket in sockets:
        socket.close()
    return _report(each, slowest, responses)


def _report(each: list[float], slowest: list[float], responses: list[float]) -> FanoutReport:
    each.sort()
    slowest.sort()
    responses.sort()
    return FanoutReport(
        each_p50_ms=percentile(each, 0.50),
        each_p99_ms=percentile(each, 0.99),
        all_p50_ms=percentile(slowest, 0.50),
        all_p99_ms=percentile(slowest, 0.99),
        response_p50_ms=percentile(responses, 0.50),
    )


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=FanoutLoad)
    report = uvloop.run(run(load))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
