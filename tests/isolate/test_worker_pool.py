"""The pool under hostile workers: garbage, lies, silence, death; every caller gets an answer."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fenchel.database import Database, Transaction
from fenchel.definitions import FunctionPath, decode_function_path
from fenchel.errors import FenchelError, internal_error
from fenchel.isolate import (
    Address,
    CodeBundle,
    Deployment,
    IsolateMetrics,
    NestedCall,
    SnapshotBuilder,
    WorkerPool,
)
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import (
    FileAccess,
    FunctionResult,
    JsError,
    UdfOutcome,
    UdfRequest,
    UdfType,
)
from tests.isolate.requests import make_request
from tests.isolate.worker_scripts import command

BUNDLE = CodeBundle(
    key="k",
    script=b"",
    source_map=b"",
    modules=("m.js",),
    environment_variables={},
    import_seed=bytes(32),
    import_unix_ms=0,
)
# Attempts end by what their workers do: on a busy machine another may take seconds to start.
SETTINGS = IsolateSettings(
    worker_count=1,
    user_time_seconds_max=0.2,
    system_time_seconds_max=20.0,
    hang_grace_seconds=0.1,
    action_seconds_max=0.5,
)
HURRIED = dataclasses.replace(SETTINGS, system_time_seconds_max=0.5)


class NoHost:
    """A host that offers nothing; `read` remembers the variables asked for."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.nested_has_begun = asyncio.Event()
        self.nested_may_end = asyncio.Event()

    async def run_nested(
        self, parent: UdfRequest, transaction: Transaction, call: NestedCall
    ) -> UdfOutcome:
        self.nested_has_begun.set()
        await self.nested_may_end.wait()
        return UdfOutcome(result=FunctionResult("1"))

    async def resolve_address(
        self, transaction: Transaction | None, address: Address, component: str
    ) -> FunctionPath:
        return decode_function_path(str(address.name), component=component)

    async def create_function_handle(self, *args: object) -> str:
        raise NotImplementedError

    async def schedule(self, *args: object) -> str:
        raise internal_error("the scheduler is broken")

    async def cancel_job(self, *args: object) -> None:
        raise NotImplementedError

    async def read_environment_variables(
        self, transaction: Transaction, names: Iterable[str]
    ) -> None:
        self.read.extend(names)

    def files(self, transaction: Transaction, component: str) -> FileAccess:
        raise NotImplementedError

    def sign_token(self, request: UdfRequest, claims: Mapping[str, Any], seconds: float) -> str:
        raise NotImplementedError

    def seal_cursor(self, plain: bytes) -> str:
        raise NotImplementedError

    def open_cursor(self, text: str) -> bytes:
        raise NotImplementedError


@dataclass
class Bench:
    """A pool of one scripted worker, a database, and a way to run things."""

    pool: WorkerPool
    database: Database
    host: NoHost
    registry: CollectorRegistry

    async def run(self, udf_type: UdfType = UdfType.QUERY) -> UdfOutcome:
        transaction = self.database.begin()
        return await self.pool.run_udf(BUNDLE, make_request(udf_type), transaction, self.host)


@asynccontextmanager
async def bench(
    folder: Path,
    body: str,
    settings: IsolateSettings = SETTINGS,
    snapshot_builder: SnapshotBuilder | None = None,
) -> AsyncIterator[Bench]:
    runtime = Runtime(settings=Settings(isolate=settings))
    database = await Database.open(MemoryPersistence(), runtime)
    registry = CollectorRegistry()
    pool = WorkerPool(
        runtime,
        deployment=Deployment(name="d"),
        command=command(folder, "ready()\n" + body),
        snapshot_builder=snapshot_builder,
        metrics=IsolateMetrics(registry),
    )
    await pool.start()
    try:
        yield Bench(pool, database, NoHost(), registry)
    finally:
        await pool.close()
        await database.close()


def error_text(outcome: UdfOutcome) -> str:
    assert isinstance(outcome.result, JsError)
    return outcome.result.message


MEMORY = "JavaScript execution ran out of memory (maximum memory usage: 64 MB)"
TIMEOUT = "Function execution timed out (maximum duration: 0.2s)"
SECOND_ONLY = """
import pathlib
marker = pathlib.Path(__file__).with_suffix(".seen")
def is_second():
    if marker.exists():
        return True
    marker.touch()
    return False
"""


# Count once an execution has come: a spare worker may start before the first one has said more than
# that it is ready.
COUNT_STARTS = """
import pathlib
marker = pathlib.Path(__file__).with_suffix(".starts")
def count_start():
    count = len(marker.read_text()) + 1 if marker.exists() else 1
    marker.write_text("x" * count)
    return count
"""


def starts_of(folder: Path) -> int:
    return sum(len(marker.read_text()) for marker in folder.glob("*.starts"))


async def test_a_result_comes_back(tmp_path: Path) -> None:
    async with bench(tmp_path, "outcome(await_execution(), b'1', envRead=['A'])\nreceive()") as b:
        assert (await b.run()).result == FunctionResult("1")
        assert b.host.read == ["A"]
        assert b.pool.statistics().running_transactions == 0


@pytest.mark.parametrize(
    "breach",
    [
        "channel.sendall(b'\\xff' * 64)",
        "os._exit(1)",
        "send(67, id, [[1, 'x']])",
        "send(67, id, [[1, 'x']] * 65, *[b'{}'] * 65)",
        "send(69, id, {'kind': 'success', 'unknown': 1}, b'1')",
        "send(69, id + 1, {}, b'1')",
        "send(70, id, b'1')",
        "send(66, 99, {'ok': True})",
        "sync.sendall(frame(129, id, b'only one'))",
    ],
)
async def test_after_a_breach_a_query_runs_again_on_another_worker(
    tmp_path: Path, breach: str
) -> None:
    body = f"""{SECOND_ONLY}
id = await_execution()
if is_second():
    outcome(id, b'2')
else:
    {breach}
receive()
"""
    async with bench(tmp_path, body) as b:
        assert (await b.run()).result == FunctionResult("2")


async def test_a_function_that_crashes_a_worker_of_its_own_is_to_blame(tmp_path: Path) -> None:
    async with bench(tmp_path, "await_execution()\nos.abort()") as b:
        assert error_text(await b.run()) == MEMORY


async def test_the_only_one_in_a_worker_that_crashes_costs_one_worker(tmp_path: Path) -> None:
    body = f"{COUNT_STARTS}\nawait_execution()\ncount_start()\nos.abort()"
    async with bench(tmp_path, body) as b:
        assert error_text(await b.run()) == MEMORY
    assert starts_of(tmp_path) == 1


async def test_a_starved_function_runs_again_with_more_time_by_the_clock(tmp_path: Path) -> None:
    body = """
def patience():
    while True:
        type, id, fields = receive()
        if type == 1:
            send(66, id, {"ok": True})
        elif type == 3:
            return id, json.loads(fields[0])["patience"]
id, first = patience()
outcome(id, b"", kind="starved")
id, second = patience()
outcome(id, json.dumps([first, second]).encode())
receive()
"""
    async with bench(tmp_path, body) as b:
        assert (await b.run()).result == FunctionResult("[1, 4]")


@pytest.mark.parametrize("kind", ["timeout", "memory"])
async def test_an_abused_worker_is_replaced_and_ends(tmp_path: Path, kind: str) -> None:
    body = f"""{COUNT_STARTS}
id = await_execution()
count = count_start()
outcome(id, b'%d' % count, kind='{kind}' if count == 1 else 'success')
while True: outcome(await_execution(), b'%d' % count)
"""
    async with bench(tmp_path, body) as b:
        first = b.pool._transactions._workers[0].process.pid
        await b.run()
        while b.pool._transactions._workers[0].process.pid == first:
            assert (await b.run()).result is not None
        assert (await b.run()).result != FunctionResult("1")
        while first in {worker.process.pid for worker in b.pool._supply.workers()}:
            await b.run()


async def test_workers_killed_from_outside_are_nobodys_fault(tmp_path: Path) -> None:
    body = f"""{COUNT_STARTS}
id = await_execution()
if count_start() <= 3:
    os.kill(os.getpid(), 9)
outcome(id, b'1')
receive()
"""
    async with bench(tmp_path, body) as b:
        assert (await b.run()).result == FunctionResult("1")


async def test_when_time_is_up_a_loss_without_culprit_is_a_system_error(tmp_path: Path) -> None:
    async with bench(tmp_path, "await_execution()\nos.kill(os.getpid(), 9)", HURRIED) as b:
        with pytest.raises(FenchelError, match="workers die under a function"):
            await b.run()


async def test_a_worker_that_leaves_by_itself_is_a_system_error(tmp_path: Path) -> None:
    async with bench(tmp_path, "await_execution()\nos._exit(1)") as b:
        with pytest.raises(FenchelError, match="broke the protocol"):
            await b.run()


async def test_who_shares_an_isolate_that_ran_out_of_memory_runs_again_alone(
    tmp_path: Path,
) -> None:
    body = """
first, second = await_execution(), await_execution()
outcome(first, b'', kind='memory')
outcome(second, b'', kind='system')
while True: outcome(await_execution(), b'1')
"""
    settings = dataclasses.replace(SETTINGS, user_time_seconds_max=5.0)
    async with bench(tmp_path, body, settings) as b:
        outcomes = await asyncio.gather(b.run(), b.run())
        assert [outcome.result for outcome in outcomes] == [FunctionResult("1")] * 2


async def test_who_runs_out_of_memory_alone_has_used_it(tmp_path: Path) -> None:
    body = "outcome(await_execution(), b'', kind='memory')\nreceive()"
    async with bench(tmp_path, body) as b:
        assert error_text(await b.run()) == MEMORY


async def test_a_lost_attempt_does_not_count_as_read(tmp_path: Path) -> None:
    body = f"""{COUNT_STARTS}
id = await_execution()
send(67, id, [[1, "1.0/insert"]], {{"table": "t", "value": {{}}}})
document_id = json.loads(receive()[2][1])["_id"]
send(67, id, [[2, "1.0/get"]], {{"id": document_id}})
receive()
if count_start() == 1:
    os._exit(1)
outcome(id, b'1')
receive()
"""
    async with bench(tmp_path, body) as b:
        transaction = b.database.begin()
        await b.pool.run_udf(BUNDLE, make_request(UdfType.MUTATION), transaction, b.host)
        assert transaction.usage.documents_read == 1


async def test_a_silent_turn_is_ended_by_the_watchdog(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, user_time_seconds_max=0.05, hang_grace_seconds=0.05)
    async with bench(tmp_path, "await_execution()\ntime.sleep(1000)", settings) as b:
        assert error_text(await b.run()) == TIMEOUT.replace("0.2", "0.05")


async def test_writes_of_a_lost_attempt_are_undone(tmp_path: Path) -> None:
    body = f"""{SECOND_ONLY}
id = await_execution()
if not is_second():
    send(67, id, [[1, "1.0/insert"]], {{"table": "t", "value": {{}}}})
    receive()
    os._exit(1)
outcome(id, b'1')
receive()
"""
    async with bench(tmp_path, body) as b:
        transaction = b.database.begin()
        request = make_request(UdfType.MUTATION)
        outcome = await b.pool.run_udf(BUNDLE, request, transaction, b.host)
        assert outcome.result == FunctionResult("1")
        assert transaction.is_read_only


@pytest.mark.parametrize(
    "lie", ["[[0, 1, 0]]", "[[0, 0, 1]]", "[[5, 1, 0]]", "[[0, 9, 1]]"], ids=str
)
async def test_lies_about_consumption_end_the_worker(tmp_path: Path, lie: str) -> None:
    body = f"""
id = await_execution()
query = {{"source": {{"type": "FullTableScan", "tableName": "t", "order": None}}, "operators": []}}
if {lie} == [[0, 0, 1]]:
    query["operators"] = [{{"limit": 2000}}]
    send(67, id, [[1, "1.0/get"]], {{"id": "x", "isSystem": False}})
else:
    send(67, id, [[1, "fenchel/queryPage"]], {{"queryId": 0, "query": query, "consumed": []}})
receive()
outcome(id, b'1', consumed={lie})
receive()
"""
    async with bench(tmp_path, body) as b:
        with pytest.raises(FenchelError, match="broke the protocol"):
            await b.run()


async def test_a_refused_query_counts_as_a_stream_without_documents(tmp_path: Path) -> None:
    body = """
id = await_execution()
query = {"source": {"type": "IndexRange", "indexName": "t.by_id", "order": None,
                    "range": [{"type": "Eq", "fieldPath": "nowhere", "value": 1}]},
         "operators": []}
send(67, id, [[1, "fenchel/queryPage"]], {"queryId": 0, "query": query, "consumed": []})
receive()
outcome(id, b'1', consumed=[[0, 0, 0]])
receive()
"""
    async with bench(tmp_path, body) as b:
        assert (await b.run()).result == FunctionResult("1")


async def test_a_failing_host_ends_the_execution_not_the_worker(tmp_path: Path) -> None:
    body = """
id = await_execution()
send(67, id, [[1, "1.0/schedule"]], {"name": "m:f", "ts": 1, "args": {}})
type, cancelled, _ = receive()
assert (type, cancelled) == (5, id)
outcome(await_execution(), b'2')
receive()
"""
    async with bench(tmp_path, body) as b:
        with pytest.raises(FenchelError, match="the scheduler is broken"):
            await b.run(UdfType.MUTATION)
        assert (await b.run()).result == FunctionResult("2")


async def test_a_cancelled_caller_cancels_the_javascript(tmp_path: Path) -> None:
    body = """
id = await_execution()
send(67, id, [[1, "1.0/runUdf"]], {"udfType": "query", "name": "m:f", "args": {}})
type, cancelled, _ = receive()
assert (type, cancelled) == (5, id)
outcome(id, b'late')
outcome(await_execution(), b'2')
receive()
"""
    async with bench(tmp_path, body) as b:
        task = asyncio.create_task(b.run())
        await b.host.nested_has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await b.run()).result == FunctionResult("2")


async def test_too_much_time_in_system_calls_has_its_own_error(tmp_path: Path) -> None:
    body = """
id = await_execution()
send(67, id, [[1, "1.0/runUdf"]], {"udfType": "query", "name": "m:f", "args": {}})
receive()
"""
    async with bench(tmp_path, body, HURRIED) as b:
        text = "Your request timed out performing too many system operations."
        assert error_text(await b.run()) == text


async def test_a_bundle_that_cannot_be_loaded_is_a_system_error(tmp_path: Path) -> None:
    body = "_, id, _ = receive()\nsend(66, id, {'ok': False, 'message': 'bad'})\nreceive()"
    async with bench(tmp_path, body) as b:
        with pytest.raises(FenchelError, match="cannot be loaded: bad"):
            await b.run()


async def test_a_worker_may_take_its_time_to_load_code(tmp_path: Path) -> None:
    body = """
_, id, _ = receive()
while time.process_time() < 1.4:
    pass
send(66, id, {"ok": True})
outcome(await_execution(), b"1")
receive()
"""
    async with bench(tmp_path, body) as b:
        assert (await b.run()).result == FunctionResult("1")


async def test_an_innocent_neighbour_is_run_again_alone(tmp_path: Path) -> None:
    body = f"""{SECOND_ONLY}
first = await_execution()
if not is_second():
    await_execution()
    os._exit(1)
outcome(first, b'1')
outcome(await_execution(), b'1')
receive()
"""
    settings = dataclasses.replace(SETTINGS, user_time_seconds_max=5.0)
    async with bench(tmp_path, body, settings) as b:
        outcomes = await asyncio.gather(b.run(), b.run())
        assert [outcome.result for outcome in outcomes] == [FunctionResult("1")] * 2


async def test_a_closing_pool_lets_work_end_and_refuses_more(tmp_path: Path) -> None:
    body = """
id = await_execution()
send(67, id, [[1, "1.0/runUdf"]], {"udfType": "query", "name": "m:f", "args": {}})
receive()
outcome(id, b'1')
receive()
"""
    async with bench(tmp_path, body) as b:
        task = asyncio.create_task(b.run())
        await b.host.nested_has_begun.wait()
        closing = asyncio.create_task(b.pool.close(drain_seconds=10))
        await asyncio.sleep(0)
        with pytest.raises(FenchelError, match="WorkerOverloaded"):
            await b.run()
        b.host.nested_may_end.set()
        assert (await task).result == FunctionResult("1")
        await closing
        assert b.pool.statistics().workers == 0


async def test_a_pool_without_workers_is_an_error(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, worker_start_seconds_max=0.3)
    pool = WorkerPool(
        Runtime(settings=Settings(isolate=settings)),
        deployment=Deployment(name="d"),
        command=command(tmp_path, "time.sleep(1000)"),
    )
    with pytest.raises(FenchelError, match="not ready in time"):
        await pool.start()
