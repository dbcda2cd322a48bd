"""A client's mutation takes effect once, however often it has to ask (architecture, invariant 6).

The whole application on virtual time: clients repeat each request, with the same session and
number, until they are answered, while the server crashes around them.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest

from fenchel.application import SessionRequest
from fenchel.errors import ConflictError, FenchelError
from fenchel.persistence import Persistence
from fenchel.runtime import Runtime
from fenchel.testing import FaultPlan, ProcessCrashed, SimulatedServer, run_virtual
from fenchel.values import Value, decode_json
from tests.application.fakes import (
    Backend,
    Ctx,
    FakeFunctionRunner,
    build_backend,
    call,
    deploy_functions,
)
from tests.database.helpers import scan

CLIENT_COUNT = 6
REQUESTS_PER_CLIENT = 8
_SEED_TEXT = os.environ.get("FENCHEL_SIMULATION_SEED")
SEEDS = [int(_SEED_TEXT)] if _SEED_TEXT else list(range(3))


def functions() -> FakeFunctionRunner:
    runner = FakeFunctionRunner()

    @runner.mutation
    async def add(ctx: Ctx, args: dict[str, Any]) -> Value:
        """Count, and note who asked; the answer is the number that this request got."""
        counter = await ctx.tx.user().open_stream(scan("counters")).next()
        if counter is None:
            number = 1.0
            await ctx.tx.user().insert("counters", {"value": number})
        else:
            before = counter.value["value"]
            assert isinstance(before, float)
            number = before + 1
            await ctx.tx.user().patch(counter.id_text, {"value": number})
        await ctx.tx.user().insert("entries", {"request": args["request"], "number": number})
        return number

    @runner.query
    async def entries(ctx: Ctx, args: dict[str, Any]) -> Value:
        stream = ctx.tx.user().open_stream(scan("entries"))
        found: list[Value] = []
        while (document := await stream.next()) is not None:
            found.append([document.value["request"], document.value["number"]])
        return found

    return runner


async def start_backend(persistence: Persistence, runtime: Runtime) -> Backend:
    backend = await build_backend(functions(), persistence, runtime)
    await deploy_functions(backend)
    await backend.application.start()
    return backend


class Clients:
    """`answers` holds the number that each request was told."""

    def __init__(self, seed: int) -> None:
        source = random.Random(seed)
        self.plan = FaultPlan.drawn(source)
        self.server = SimulatedServer(start_backend, source)
        self.answers: dict[str, Value] = {}
        self.repeat_count = 0

    async def run(self) -> list[Any]:
        """Every entry that is there in the end."""
        await self._until_answered(lambda backend: backend.query("entries"))
        self.server.set_faults(self.plan)
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENT_COUNT):
                group.create_task(self._client(f"session{number}"), name=f"client {number}")
        self.server.set_faults(self.plan.without_faults())
        await self.server.end()
        entries = await self._until_answered(lambda backend: backend.query("entries"))
        await self.server.end()
        assert isinstance(entries, list)
        return entries

    async def _client(self, session_id: str) -> None:
        for number in range(REQUESTS_PER_CLIENT):
            await self._request(SessionRequest(session_id, number))

    async def _request(self, session: SessionRequest) -> None:
        name = f"{session.session_id}/{session.request_id}"

        async def add(backend: Backend) -> Value:
            request = call("add", {"request": name})
            run = await backend.application.run_mutation(request, session=session)
            assert run.result.is_success, run.result.error_message
            return decode_json(run.result.value_json)

        self.answers[name] = await self._until_answered(add)

    async def _until_answered(self, work: Any) -> Value:
        while True:
            try:
                value: Value = await self.server.call(work)
            except (ProcessCrashed, ConflictError, OSError):
                self.repeat_count += 1
            except FenchelError as error:
                if error.code not in ("CommitterFullError", "CommitTooSlow", "DataNotStored"):
                    raise
                self.repeat_count += 1
            else:
                return value
            await self.server.disk.wait(0.1)


def run_clients(seed: int) -> Clients:
    clients = Clients(seed)
    try:
        entries = run_virtual(clients.run())
        assert sorted(entries) == sorted([name, number] for name, number in clients.answers.items())
        count = CLIENT_COUNT * REQUESTS_PER_CLIENT
        assert sorted(number for _, number in entries) == [float(n + 1) for n in range(count)]
    except BaseException as error:
        error.add_note(f"replay with FENCHEL_SIMULATION_SEED={seed}")
        raise
    return clients


@pytest.mark.parametrize("seed", SEEDS)
def test_every_request_takes_effect_once_and_is_answered_so(seed: int) -> None:
    run_clients(seed)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_seeds_repeat_requests_after_crashes() -> None:
    runs = [run_clients(seed) for seed in range(1_000, 1_200)]
    assert sum(run.repeat_count for run in runs) > 0
    assert sum(run.server.start_count for run in runs) > len(runs) * 2
