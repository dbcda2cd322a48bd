"""The load generator: reads an HttpLoad on standard input, writes a LoadReport.

Closed loop: each connection sends its next request when it has the answer to the last one. The run
is bounded in time by the load and in count by REQUEST_COUNT_MAX.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from array import array

import msgspec
import uvloop

from benchmarks.http_client import HttpConnection, encode_request
from benchmarks.load import (
    CHANNEL_COUNT,
    LIST_LENGTH,
    Check,
    HttpLoad,
    LoadReport,
    percentile,
)

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


class Generator:
    """All connections of one load and what they have measured so far."""

    def __init__(self, spec: HttpLoad) -> None:
        self.spec = spec
        self.finished = asyncio.get_running_loop().create_future()
        self.latencies_ns = array("q")
        self.sequences = itertools.count(spec.load.first_sequence)
        self.running = spec.load.connections
        now = time.perf_counter_ns()
        self.measure_from_ns = now + int(spec.load.warm_up_seconds * 1e9)
        self.measure_to_ns = self.measure_from_ns + int(spec.load.seconds * 1e9)

    def fail(self, error: Exception) -> None:
        if not self.finished.done():
            self.finished.set_exception(error)

    def finish_client(self) -> None:
        self.running -= 1
        if self.running == 0 and not self.finished.done():
            self.finished.set_result(None)


class Client:
    """One connection: a request, its answer, the next request."""

    def __init__(self, generator: Generator, number: int) -> None:
        request = generator.spec.load.request
        body = (
            f'{{"path":"{generator.spec.module}:{request.function}",'
            f'"format":"convex_encoded_json","args":[{request.args}]}}'
        )
        self._template = body.encode()
        self._endpoint = request.endpoint
        self._check = request.check
        members = generator.spec.members
        self._member = members[number % len(members)].encode()
        self._generator = generator
        self._sent_ns = 0
        self._channel = 0
        self._since_full_check = 0
        self.connection = HttpConnection(self._on_body, generator.fail)

    def send(self) -> None:
        sequence = next(self._generator.sequences)
        self._channel = sequence * CHANNEL_STRIDE % CHANNEL_COUNT
        fields = {b"channel": self._channel, b"sequence": sequence, b"member": self._member}
        body = self._template % fields if b"%(" in self._template else self._template
        request = encode_request(self._endpoint, body)
        self._sent_ns = time.perf_counter_ns()
        self.connection.send(request)

    def _on_body(self, body: bytes) -> None:
        now = time.perf_counter_ns()
        generator = self._generator
        try:
            self._check_body(body)
        except (ValueError, msgspec.MsgspecError) as error:
            generator.fail(error)
            return
        if generator.measure_from_ns <= self._sent_ns and now <= generator.measure_to_ns:
            generator.latencies_ns.append(now - self._sent_ns)
        is_full = len(generator.latencies_ns) >= REQUEST_COUNT_MAX
        if now >= generator.measure_to_ns or is_full:
            generator.finish_client()
        else:
            self.send()

    def _check_body(self, body: bytes) -> None:
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


async def run(spec: HttpLoad) -> LoadReport:
    """Runs the load to its end. Raises the first failure of any connection."""
    loop = asyncio.get_running_loop()
    generator = Generator(spec)
    clients = [Client(generator, number) for number in range(spec.load.connections)]
    for client in clients:
        await loop.create_connection(lambda c=client: c.connection, "127.0.0.1", spec.port)  # type: ignore[misc]
    cpu_start, wall_start = time.process_time(), time.perf_counter()
    for client in clients:
        client.send()
    limit = spec.load.warm_up_seconds + spec.load.seconds + 20
    await asyncio.wait_for(generator.finished, limit)
    cpu = (time.process_time() - cpu_start) / (time.perf_counter() - wall_start)
    for client in clients:
        client.connection.close()
    latencies = sorted(ns / 1e6 for ns in generator.latencies_ns)
    if not latencies:
        raise RuntimeError(f"no answer within {spec.load.seconds} s")
    return LoadReport(
        requests_per_second=len(latencies) / spec.load.seconds,
        p50_ms=percentile(latencies, 0.50),
        p99_ms=percentile(latencies, 0.99),
        count=len(latencies),
        generator_cpu=cpu,
    )


def main() -> None:
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=HttpLoad)
    report = uvloop.run(run(spec))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
