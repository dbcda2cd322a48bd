"""The load generator: reads an HttpLoad or a GetLoad on standard input, writes a LoadReport.

Closed loop: each connection sends its next request when it has the answer to the last one. The run
is bounded in time by the load and in count by REQUEST_COUNT_MAX.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import uvloop

from benchmarks.http_client import HttpConnection, encode_get, encode_request
from benchmarks.load import (
    CHANNEL_COUNT,
    LIST_LENGTH,
    Check,
    GetLoad,
    HttpLoad,
    Load,
    LoadReport,
    percentile,
)
from benchmarks.process_usage import process_cpu_seconds

REQUEST_COUNT_MAX = 5_000_000
# Every answer is checked by its shape, one in so many field by field: decoding all of them
# would cost the generator more than sending does.
FULL_CHECK_INTERVAL = 64
# Coprime to the number of channels, so that consecutive requests visit all of them.
CHANNEL_STRIDE = 619


class Document(msgspec.Struct):
    creation_time: float = msgspec.field(name="_creationTime")
    id: str = msgspec.field(name="_id")
    channel: str
    author: str
    body: str


class ListAnswer(msgspec.Struct):
    status: str
    value: list[Document]


class SendAnswer(msgspec.Struct):
    status: str
    value: str


_list_decoder = msgspec.json.Decoder(ListAnswer)
_send_decoder = msgspec.json.Decoder(SendAnswer)


def check_list(body: bytes, *, channel: str | None) -> None:
    """Raises ValueError unless the body is a list answer; with a channel, checks each document."""
    if body.count(b'"_id"') != LIST_LENGTH or b'"success"' not in body:
        raise ValueError(f"not a list of {LIST_LENGTH}: {body[:500]!r}")
    if channel is None:
        return
    documents = _list_decoder.decode(body).value
    times = [document.creation_time for document in documents]
    if times != sorted(times, reverse=True):
        raise ValueError(f"not newest first: {times}")
    if any(document.channel != channel for document in documents):
        raise ValueError(f"a document of another channel than {channel}: {body[:500]!r}")


def check_send(body: bytes) -> None:
    """Raises ValueError unless the body carries a new document's id."""
    answer = _send_decoder.decode(body)
    if answer.status != "success" or not answer.value:
        raise ValueError(f"not an id: {body[:500]!r}")


class Requests(Protocol):
    """What one connection sends, one after another."""

    def encode(self, sequence: int) -> bytes:
        """The request with this number."""
        ...

    def check(self, body: bytes) -> None:
        """Raises ValueError, or a MsgspecError, unless that answers the request encoded last."""
        ...


class FunctionCalls:
    """Calls of one function, each with arguments of its own."""

    def __init__(self, spec: HttpLoad, number: int) -> None:
        request = spec.load.request
        body = (
            f'{{"path":"{spec.module}:{request.function}",'
            f'"format":"convex_encoded_json","args":[{request.args}]}}'
        )
        self._template = body.encode()
        self._endpoint = request.endpoint
        self._check = request.check
        self._member = spec.members[number % len(spec.members)].encode()
        self._channel = 0
        self._since_full_check = 0

    def encode(self, sequence: int) -> bytes:
        self._channel = sequence * CHANNEL_STRIDE % CHANNEL_COUNT
        fields = {b"channel": self._channel, b"sequence": sequence, b"member": self._member}
        body = self._template % fields if b"%(" in self._template else self._template
        return encode_request(self._endpoint, body)

    def check(self, body: bytes) -> None:
        if self._check is Check.SEND:
            check_send(body)
            return
        self._since_full_check += 1
        if self._since_full_check < FULL_CHECK_INTERVAL:
            check_list(body, channel=None)
            return
        self._since_full_check = 0
        is_varied = b"%(channel)" in self._template
        check_list(body, channel=f"channel-{self._channel if is_varied else 0}")


class Gets:
    """Plain GETs, each with its answer; all connections go round the same ones."""

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs
        self._answer = b""

    def encode(self, sequence: int) -> bytes:
        request, self._answer = self._pairs[sequence % len(self._pairs)]
        return request

    def check(self, body: bytes) -> None:
        if body != self._answer:
            raise ValueError(f"not {self._answer[:100]!r}: {body[:500]!r}")


class Generator:
    """All connections of one load and what they have measured so far."""

    def __init__(self, load: Load | GetLoad, process_id: int) -> None:
        self.finished = asyncio.get_running_loop().create_future()
        self.sequences = itertools.count(load.first_sequence)
        self._load = load
        self._process_id = process_id
        self._latencies_ns = array("q")
        self._answer_count = 0
        self._running = load.connections
        now = time.perf_counter_ns()
        self._measure_from_ns = now + int(load.warm_up_seconds * 1e9)
        self._measure_to_ns = self._measure_from_ns + int(load.seconds * 1e9)

    def fail(self, error: Exception) -> None:
        if not self.finished.done():
            self.finished.set_exception(error)

    def take(self, sent_ns: int, now_ns: int) -> bool:
        """Notes a right answer; False when its client shall send nothing more."""
        self._answer_count += 1
        if self._measure_from_ns <= sent_ns and now_ns <= self._measure_to_ns:
            self._latencies_ns.append(now_ns - sent_ns)
        if now_ns < self._measure_to_ns and len(self._latencies_ns) < REQUEST_COUNT_MAX:
            return True
        self._running -= 1
        if self._running == 0 and not self.finished.done():
            self.finished.set_result(None)
        return False

    async def measure(self, begin: Callable[[], None]) -> LoadReport:
        """Runs from `begin` to the end of the load. Raises the first failure of any connection."""
        own_start, wall_start = time.process_time(), time.perf_counter()
        server_start = process_cpu_seconds(self._process_id)
        begin()
        limit = self._load.warm_up_seconds + self._load.seconds + 20
        await asyncio.wait_for(self.finished, limit)
        server_seconds = process_cpu_seconds(self._process_id) - server_start
        own_share = (time.process_time() - own_start) / (time.perf_counter() - wall_start)
        latencies = sorted(ns / 1e6 for ns in self._latencies_ns)
        if not latencies:
            raise RuntimeError(f"no answer within {self._load.seconds} s")
        return LoadReport(
            requests_per_second=len(latencies) / self._load.seconds,
            p50_ms=percentile(latencies, 0.50),
            p99_ms=percentile(latencies, 0.99),
            count=len(latencies),
            generator_cpu=own_share,
            server_cpu_us=server_seconds * 1e6 / self._answer_count,
        )


class Client:
    """One connection: a request, its answer, the next request."""

    def __init__(self, generator: Generator, requests: Requests) -> None:
        self._generator = generator
        self._requests = requests
        self._sent_ns = 0
        self.connection = HttpConnection(self._on_body, generator.fail)

    def send(self) -> None:
        request = self._requests.encode(next(self._generator.sequences))
        self._sent_ns = time.perf_counter_ns()
        self.connection.send(request)

    def _on_body(self, body: bytes) -> None:
        now = time.perf_counter_ns()
        generator = self._generator
        try:
            self._requests.check(body)
        except (ValueError, msgspec.MsgspecError) as error:
            generator.fail(error)
            return
        if generator.take(self._sent_ns, now):
            self.send()


async def run(spec: HttpLoad | GetLoad) -> LoadReport:
    """Runs the load to its end. Raises the first failure of any connection."""
    loop = asyncio.get_running_loop()
    load = spec if isinstance(spec, GetLoad) else spec.load
    generator = Generator(load, spec.process_id)
    clients = [Client(generator, requests) for requests in _requests(spec)]
    for client in clients:
        await loop.create_connection(lambda c=client: c.connection, "127.0.0.1", spec.port)  # type: ignore[misc]

    def begin() -> None:
        for client in clients:
            client.send()

    report = await generator.measure(begin)
    for client in clients:
        client.connection.close()
    return report


def _requests(spec: HttpLoad | GetLoad) -> list[Requests]:
    """Those of each connection."""
    if isinstance(spec, HttpLoad):
        return [FunctionCalls(spec, number) for number in range(spec.load.connections)]
    texts = zip(spec.paths, spec.answers, strict=True)
    pairs = [(encode_get(path), answer.encode()) for path, answer in texts]
    return [Gets(pairs) for _ in range(spec.connections)]


def main() -> None:
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=HttpLoad | GetLoad)
    report = uvloop.run(run(spec))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
