"""The recorded push of a small app, deployed to real isolates, and what its functions then do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from fenchel.application import (
    Application,
    DataResetter,
    EnvironmentChange,
    FinishPushRequest,
    StartPushRequest,
    WaitForSchemaRequest,
)
from fenchel.application.deploy_messages import StartPushEcho
from fenchel.application.waiting import wait_for_change
from fenchel.auth import KeyBroker
from fenchel.database import Database
from fenchel.errors import FenchelError
from fenchel.file_storage import LocalFileStorage, MemoryFileStorage
from fenchel.function_runner import CodeSource, FunctionRunnerMetrics, InProcessFunctionRunner
from fenchel.isolate import Bundler, Deployment, WorkerPool
from fenchel.model import VIRTUAL_TABLES, get_job
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime, Settings, SystemClock
from fenchel.values import Value, decode_json
from tests.application.fakes import URLS, call, user
from tests.application.golden import golden_push, with_source

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class App:
    application: Application
    database: Database
    runtime: Runtime

    async def query(self, path: str, args: dict[str, Value] | None = None) -> Value:
        module, name = path.split(":")
        run = await self.application.run_query(call(name, args, module=module))
        assert run.result.is_success, run.result.error_message
        return decode_json(run.result.value_json)

    async def mutate(self, path: str, args: dict[str, Value] | None = None) -> Value:
        module, name = path.split(":")
        run = await self.application.run_mutation(call(name, args, module=module))
        assert run.result.is_success, run.result.error_message
        return decode_json(run.result.value_json)

    async def push(self, request: StartPushRequest | None = None) -> None:
        deploy = self.application.deploy
        start = await deploy.start_push(request or golden_push())
        status = await deploy.wait_for_schema(
            WaitForSchemaRequest(schema_change=start.schema_change)
        )
        assert msgspec.to_builtins(status) == {"type": "complete"}
        await deploy.finish_push(
            FinishPushRequest(start_push=StartPushEcho(push_token=start.push_token))
        )


@asynccontextmanager
async def running_app(folder: Path) -> AsyncIterator[App]:
    settings = Settings()
    settings = replace(settings, isolate=replace(settings.isolate, worker_count=1))
    runtime = Runtime(settings=settings)
    database = await Database.open(MemoryPersistence(), runtime, VIRTUAL_TABLES)
    file_storage = LocalFileStorage(folder)
    runner = InProcessFunctionRunner(
        database=database,
        pool=WorkerPool(runtime, deployment=Deployment(name="test")),
        bundler=Bundler(),
        code_source=CodeSource(file_storage, system_environment=URLS.environment_variables),
        runtime=runtime,
        metrics=FunctionRunnerMetrics(),
    )
    application = Application(
        database=database,
        function_runner=runner,
        file_storage=file_storage,
        export_storage=MemoryFileStorage(),
        import_storage=MemoryFileStorage(),
        user_storage=MemoryFileStorage(),
        key_broker=KeyBroker("test-instance", bytes(32)),
        canonical_urls=URLS,
        runtime=runtime,
    )
    try:
        await runner.start()
        await application.start()
        yield App(application, database, runtime)
    finally:
        await application.close()
        await runner.close()
        await database.close()


@pytest_asyncio.fixture(loop_scope="module")
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """Nothing is deployed to it; for one test."""
    async with running_app(tmp_path) as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    async with running_app(tmp_path_factory.mktemp("shared")) as app:
        await app.push()
        yield app


@pytest_asyncio.fixture(loop_scope="module")
async def deployed(shared: App) -> App:
    """The app, deployed once for the tests that leave its code and variables alone; no data."""
    await DataResetter(database=shared.database, runtime=shared.runtime).reset()
    return shared


async def test_before_the_first_push_no_function_is_found(app: App) -> None:
    run = await app.application.run_query(call("list", module="messages"))
    assert "Could not find public function for 'messages:list'" in run.result.error_message


async def test_a_deployed_app_runs(deployed: App) -> None:
    assert await deployed.query("messages:list") == []
    await deployed.mutate("messages:send", {"author": "ann", "body": "hello"})
    messages = await deployed.query("messages:byAuthor", {"author": "ann"})
    assert isinstance(messages, list)
    assert [m["body"] for m in messages if isinstance(m, dict)] == ["hello"]
    action = await deployed.application.run_action(
        call("addTwice", {"name": "visits"}, module="counters")
    )
    assert action.result.value_json == "2.0"
    assert [line.pretty for line in action.result.log_lines] == ["[LOG] 'adding to' 'visits'"]
    assert await deployed.query("counters:get", {"name": "visits"}) == 2.0


async def test_functions_are_validated_and_their_errors_mapped(deployed: App) -> None:
    wrong = await deployed.application.run_mutation(
        call("send", {"author": 1.0}, module="messages")
    )
    assert "ArgumentValidationError" in wrong.result.error_message
    internal = await deployed.application.run_mutation(
        call("deliver", {"author": "a", "body": "b"}, module="messages")
    )
    assert "Could not find public function" in internal.result.error_message
    failing = await deployed.application.run_mutation(
        call("fail", {"author": "a"}, module="messages")
    )
    assert "Uncaught Error: on purpose" in failing.result.error_message
    assert "convex/messages.ts:" in failing.result.error_message
    assert await deployed.query("messages:list") == []


async def test_an_internal_function_looks_like_a_missing_one_from_outside(deployed: App) -> None:
    texts = set()
    for name in ("deliver", "nothing"):
        run = await deployed.application.run_function(call(name, module="messages"))
        texts.add(run.result.error_message.replace(name, "it"))
    assert len(texts) == 1


async def test_concurrent_mutations_of_real_code_lose_nothing(deployed: App) -> None:
    args: dict[str, Value] = {"name": "shared", "amount": 1.0}
    await deployed.mutate("counters:add", args)
    await asyncio.gather(*(deployed.mutate("counters:add", args) for _ in range(7)))
    assert await deployed.query("counters:get", {"name": "shared"}) == 8.0


async def test_scheduled_functions_of_real_code_run(deployed: App) -> None:
    job_id = await deployed.mutate(
        "messages:sendLater", {"author": "ann", "body": "later", "delayMs": 0.0}
    )
    assert isinstance(job_id, str)
    await wait_for_success(deployed.database, job_id)
    messages = await deployed.query("messages:list")
    assert isinstance(messages, list)
    assert len(messages) == 1


async def wait_for_success(database: Database, job_id: str) -> None:
    while True:
        tx = database.begin()
        job = await get_job(tx, job_id)
        if job is not None and job.row.state.type == "success":
            return
        assert await wait_for_change(database, database.token(tx), SystemClock(), 30)


async def test_results_follow_environment_variables(app: App) -> None:
    await app.push()
    assert await app.query("settings:color") == "none"
    assert await app.query("settings:importedColor") == "none"
    await app.application.environment.update([EnvironmentChange(name="COLOR", value="red")])
    assert await app.query("settings:color") == "red"
    assert await app.query("settings:importedColor") == "red"


async def test_results_depend_on_the_caller(deployed: App) -> None:
    run = await deployed.application.run_query(
        call("whoami", module="settings", identity=user("ann"))
    )
    assert run.result.value_json == '"ann"'
    assert await deployed.query("settings:whoami") == "nobody"


async def test_a_broken_push_leaves_the_running_code_untouched(deployed: App) -> None:
    await deployed.mutate("messages:send", {"author": "ann", "body": "hello"})
    broken = with_source(
        golden_push(), "settings.js", '"none"', '(() => { throw new Error("broken"); })()'
    )
    with pytest.raises(FenchelError) as caught:
        await deployed.application.deploy.start_push(broken)
    assert caught.value.code == "InvalidModules"
    assert caught.value.message.startswith("Hit an error while pushing:\n")
    assert "Uncaught Error: broken" in caught.value.message
    messages = await deployed.query("messages:list")
    assert isinstance(messages, list)
    assert len(messages) == 1


async def test_a_push_invalidates_what_ran_with_the_old_code(app: App) -> None:
    await app.push()
    before = await app.application.run_query(call("color", module="settings"))
    invalidated = asyncio.Event()
    app.application.subscribe(before.token, lambda _: invalidated.set())
    await app.push(with_source(golden_push(), "settings.js", '"none"', '"plain"'))
    await asyncio.wait_for(invalidated.wait(), 30)
    assert await app.query("settings:color") == "plain"


async def test_auth_providers_come_from_the_auth_config(deployed: App) -> None:
    providers = await deployed.application.auth_providers()
    assert [msgspec.to_builtins(provider) for provider in providers] == [
        {"domain": "https://auth.example.com", "applicationID": "fixture"}
    ]
