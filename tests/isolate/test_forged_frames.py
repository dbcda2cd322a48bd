"""A worker replaced by a malicious script: whatever it says, it touches only what it was given, and
dies for what breaks the protocol. Each script acts once it holds an execution.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from pathlib import Path

import pytest

from fenchel.errors import FenchelError
from fenchel.udf import FunctionResult, UdfType
from tests.isolate.requests import make_request
from tests.isolate.test_worker_pool import BUNDLE, COUNT_STARTS, SETTINGS, bench

# Each acts on `id`, the execution that the script was given.
BREACHES = {
    "outcome of an execution never given": "outcome(id + 1, b'1')",
    "outcome of execution zero": "outcome(0, b'1')",
    "outcome of a huge id": "outcome(2**32 - 1, b'1')",
    "system calls of an execution never given": "send(67, id + 5, [[0, '1.0/get']], {'id': 'x'})",
    "log of an execution never given": "send(68, id + 5, [])",
    "two outcomes in one breath": "outcome(id, b'1'); outcome(id + 100, b'1')",
    "the same outcome twice": "outcome(id, b'1'); outcome(id, b'1')",
    "ready again": "ready()",
    "loaded twice": "send(66, 1, {'ok': True}); send(66, 1, {'ok': True})",
    "loaded what was never sent": "send(66, 77, {'ok': True})",
    "loaded without a word": "send(66, 1)",
    "a command of the backend": "send(3, id, {}, b'[]')",
    "results of the backend": "send(4, id, [[0, 1]], b'1')",
    "shutdown of the backend": "send(6, 0)",
    "a synchronous call on the wrong channel": "send(129, id, b'op', b'{}')",
    "an unknown type": "send(255, id)",
    "type zero": "send(0, id)",
    "length of zero": "channel.sendall(b'\\0\\0\\0\\0')",
    "length of four gibibytes": "channel.sendall(b'\\xff\\xff\\xff\\xff')",
    "length just too large": "channel.sendall(struct.pack('<I', 128 * 2**20 + 1))",
    "a field beyond its frame": "channel.sendall(struct.pack('<IBII', 9, 67, id, 2**31))",
    "a field of which the length is cut off": "channel.sendall(struct.pack('<IBIH', 7, 67, id, 1))",
    "more fields than there may be": "send(67, id, *[b''] * 70)",
    "cut off by the end": "channel.sendall(frame(69, id, b'{}', b'')[:-1]); os._exit(0)",
    "the channel closed for writing": "channel.shutdown(socket.SHUT_WR); receive(sync)",
    "system calls without meta": "send(67, id)",
    "system calls with meta alone": "send(67, id, [[0, '1.0/get']])",
    "no system calls": "send(67, id, [])",
    "meta that is no list": "send(67, id, {'0': 'x'}, b'{}')",
    "a negative system call": "send(67, id, [[-1, '1.0/get']], b'{}')",
    "a system call with a number beyond numbers": "send(67, id, [[2**60, 'x']], b'{}')",
    "an operation that is no text": "send(67, id, [[0, 7]], b'{}')",
    "meta as deep as memory": "send(67, id, b'[' * 1_000_000, b'{}')",
    "meta that is no text": "send(67, id, b'\\xff\\xfe', b'{}')",
    "log lines of a query": "send(68, id, [])",
    "an outcome without header": "send(69, id, b'', b'1')",
    "an outcome without result": "send(69, id, {'kind': 'success'})",
    "an outcome of an unknown kind": "outcome(id, b'1', kind='victory')",
    "an outcome with a field more": "outcome(id, b'1', isAdmin=True)",
    "an error without error": "outcome(id, b'', kind='error')",
    "an error that is no text": "outcome(id, b'', kind='error', error={'message': 7})",
    "log lines of an unknown level": "outcome(id, b'1', logLines=[{'level': 'ROOT'}])",
    "a log line from before time": "outcome(id, b'1', logLines=[{'level': 'LOG', 'messages': [],"
    " 'timestampMs': -1}])",
    "negative user time": "outcome(id, b'1', userMs=-5)",
    "negative memory": "outcome(id, b'1', heapBytes=-5)",
    "consumption of a stream never opened": "outcome(id, b'1', consumed=[[0, 1, 0]])",
    "negative consumption": "outcome(id, b'1', consumed=[[0, -1, 0]])",
    "variables that are no text": "outcome(id, b'1', envRead=[7])",
    "a synchronous call in pieces too many": "sync.sendall(frame(129, id, b'a', b'b', b'c'))",
    "a synchronous call that is no text": "sync.sendall(frame(129, id, b'\\xff', b'{}'))",
    "an outcome on the synchronous channel": "sync.sendall(frame(69, id, b'{}', b'1'))",
    "a synchronous call too long": "sync.sendall(b'\\xff\\xff\\xff\\xff')",
}
FLOODS = {
    "of system calls": "while True: send(67, id, [[0, '1.0/nonsense']] * 64, *[b'{}'] * 64)",
    "of large system calls": "while True: send(67, id, [[0, 'x']], b'x' * 2**24)",
    "of bytes without end": "while True: channel.sendall(struct.pack('<I', 2**27) + b'x' * 2**20)",
    "of late outcomes": "outcome(id, b'1')\nwhile True: send(67, id, [[0, 'x']], b'x' * 2**20)",
}


# What these executions read or wrote cannot be believed any more.
TOLD_BEFORE_THE_END = {
    "log lines of a query",
    "consumption of a stream never opened",
}


@pytest.mark.parametrize("breach", BREACHES, ids=str)
async def test_a_breach_ends_the_worker_and_nobody_else(tmp_path: Path, breach: str) -> None:
    """The query runs again, on a worker that behaves."""
    body = f"""{COUNT_STARTS}
id = await_execution()
if count_start() == 1:
    try:
        {BREACHES[breach].replace("; ", chr(10) + " " * 8)}
    except BrokenPipeError:
        os._exit(0)
    receive(sync)
outcome(id, b'2')
while True: outcome(await_execution(), b'2')
"""
    async with bench(tmp_path, body, PATIENT) as b:
        first = b.pool._transactions._workers[0].process
        if breach in TOLD_BEFORE_THE_END:
            with pytest.raises(FenchelError, match="broke the protocol"):
                await b.run()
        else:
            honest = "1" if "outcome" in breach and ("two" in breach or "twice" in breach) else "2"
            assert (await b.run()).result == FunctionResult(honest)
        assert (await b.run()).result == FunctionResult("2")
        await first.wait_dead()
        assert not first.is_alive


PATIENT = dataclasses.replace(SETTINGS, user_time_seconds_max=10.0, system_time_seconds_max=20.0)


@pytest.mark.parametrize("flood", FLOODS, ids=str)
async def test_a_flood_is_stopped_within_bounds(tmp_path: Path, flood: str) -> None:
    body = f"""{COUNT_STARTS}
id = await_execution()
if count_start() == 1:
    try:
        {FLOODS[flood].replace(chr(10), chr(10) + " " * 8)}
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)
outcome(id, b'2')
while True: outcome(await_execution(), b'2')
"""
    settings = dataclasses.replace(PATIENT, user_time_seconds_max=1.0, system_time_seconds_max=2.0)
    async with bench(tmp_path, body, settings) as b, asyncio.timeout(30):
        first = b.pool._transactions._workers[0].process
        with contextlib.suppress(FenchelError):  # Or it runs again on the next worker.
            await b.run()
        while first.is_alive:
            with contextlib.suppress(FenchelError):
                await b.run()
        assert (await b.run()).result == FunctionResult("2")


async def test_a_cancelled_execution_cannot_be_answered_for(tmp_path: Path) -> None:
    """Its id is dead: late system calls neither run nor come back."""
    body = """
id = await_execution()
send(67, id, [[0, "1.0/runUdf"]], {"udfType": "query", "name": "m:f", "args": {}})
receive()
send(67, id, [[1, "1.0/insert"]], {"table": "t", "value": {}})
outcome(id, b'"late"')
while True: outcome(await_execution(), b'2')
"""
    async with bench(tmp_path, body, PATIENT) as b:
        transaction = b.database.begin()
        request = make_request(UdfType.MUTATION)
        task = asyncio.create_task(
            b.pool.run_udf(request=request, bundle=BUNDLE, transaction=transaction, host=b.host)
        )
        await b.host.nested_has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await b.run()).result == FunctionResult("2")
        assert transaction.is_read_only
