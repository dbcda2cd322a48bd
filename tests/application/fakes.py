"""A function runner whose functions are Python, and an application over a database in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from fenchel.application import (
    Application,
    CanonicalUrls,
    FunctionCall,
    FunctionCaller,
)
from fenchel.application.waiting import wait_for_change
from fenchel.auth import Admin, Anonymous, Identity, KeyBroker, User, UserIdentity, cache_key
from fenchel.database import Database, Transaction
from fenchel.definitions import (
    AnalyzedFunction,
    AnalyzedModule,
    FunctionPath,
    encode_analyzed_module,
)
from fenchel.errors import FenchelError
from fenchel.file_storage import MemoryFileStorage
from fenchel.function_runner import AllowedVisibility, DeployedCode, TransactionHost
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.model import VIRTUAL_TABLES, Module, replace_modules
from fenchel.persistence import MemoryPersistence, Persistence
from fenchel.runtime import Runtime, SystemClock
from fenchel.udf import (
    ActionCallbacks,
    FunctionResult,
    HttpExchange,
    JsError,
    LogLevel,
    LogLine,
    QueryJournal,
    UdfOutcome,
    UdfRequest,
)
from fenchel.values import Value, decode_json, encode_json

URLS = CanonicalUrls(
    convex_cloud_url="http://127.0.0.1:3210", convex_site_url="http://127.0.0.1:3211"
)
REQUEST_ID = "0123456789abcdef"
START_NS = 1_700_000_000 * 10**9


class UserCodeError(Exception):
    """What a fake function throws; becomes a JsError."""


@dataclass
class Ctx:
    """What a fake function gets: a transaction, or in an action the callbacks."""

    request: UdfRequest
    tx: Transaction
    host: TransactionHost | None = None
    callbacks: ActionCallbacks | None = None
    outcome: dict[str, Any] = field(default_factory=dict)
    lines: list[LogLine] = field(default_factory=list)

    def log(self, text: str) -> None:
        line = LogLine(level=LogLevel.LOG, messages=(f"'{text}'",), timestamp_ms=1.0)
        self.lines.append(line)
        if self.request.on_log_line is not None:
            self.request.on_log_line(line)

    def identity(self) -> str:
        self.outcome["observed_identity"] = True
        return cache_key(self.request.identity)

    async def schedule(self, name: str, args: dict[str, Value], unix_seconds: float) -> str:
        path = FunctionPath("", "app.js", name)
        text = encode_json([args])
        if self.host is not None:
            return await self.host.schedule(self.request, self.tx, path, text, unix_seconds)
        assert self.callbacks is not None
        return await self.callbacks.schedule(self.request, path, text, unix_seconds)

    async def cancel(self, job_id: str) -> None:
        if self.host is not None:
            await self.host.cancel_job(self.request, self.tx, job_id)
        else:
            assert self.callbacks is not None
            await self.callbacks.cancel_job(self.request, job_id)

    async def run_mutation(self, name: str, args: dict[str, Value]) -> Value:
        assert self.callbacks is not None
        path = FunctionPath("", "app.js", name)
        return decode_json(await self.callbacks.run_mutation(self.request, path, encode_json(args)))

    async def run_query(self, name: str, args: dict[str, Value]) -> Value:
        assert self.callbacks is not None
        path = FunctionPath("", "app.js", name)
        return decode_json(await self.callbacks.run_query(self.request, path, encode_json(args)))


Function = Callable[[Ctx, dict[str, Any]], Awaitable[Value]]


class FakeFunctionRunner:
    """A `FunctionRunner` over `app.js`. `runs` counts executions by function name."""

    def __init__(self) -> None:
        self.functions: dict[str, tuple[str, Function]] = {}
        self.runs: dict[str, int] = {}
        self.warmed: list[DeployedCode] = []
        self.renewals = 0
        self.http_action: Callable[[HttpExchange, Ctx], Awaitable[UdfOutcome]] = _no_http_actions
        self.database: Database | None = None
        self.analysis: dict[str, AnalyzedModule] | JsError = {}
        self.schema_json: str | JsError = '{"tables":[],"schemaValidation":true}'
        self.auth_config: Callable[[BundleInputs], str | JsError] = lambda _: '{"providers":[]}'
        self.definition: str | JsError = (
            '{"definitionType":{"type":"app"},"childComponents":[],"httpMounts":{}}'
        )

    def query(self, function: Function) -> Function:
        self.functions[function.__name__] = ("Query", function)
        return function

    def mutation(self, function: Function) -> Function:
        self.functions[function.__name__] = ("Mutation", function)
        return function

    def action(self, function: Function) -> Function:
        self.functions[function.__name__] = ("Action", function)
        return function

    async def run_udf(
        self,
        request: UdfRequest,
        transaction: Transaction,
        host: TransactionHost,
        *,
        visibility: AllowedVisibility = AllowedVisibility.PUBLIC_ONLY,
    ) -> UdfOutcome:
        return await self._run(Ctx(request, transaction, host=host))

    async def run_action(
        self,
        request: UdfRequest,
        callbacks: ActionCallbacks,
        *,
        visibility: AllowedVisibility = AllowedVisibility.PUBLIC_ONLY,
    ) -> UdfOutcome:
        assert self.database is not None
        return await self._run(Ctx(request, self.database.begin(), callbacks=callbacks))

    async def run_http_action(
        self, request: UdfRequest, exchange: HttpExchange, callbacks: ActionCallbacks
    ) -> UdfOutcome:
        assert self.database is not None
        ctx = Ctx(request, self.database.begin(), callbacks=callbacks)
        return await self.http_action(exchange, ctx)

    async def find_function(
        self, transaction: Transaction, path: FunctionPath
    ) -> AnalyzedFunction | None:
        found = self.functions.get(path.function)
        if found is None:
            return None
        return AnalyzedFunction(name=path.function, udf_type=found[0])  # type: ignore[arg-type]

    async def warm(self, code: DeployedCode) -> None:
        self.warmed.append(code)

    async def renew_lookups(self) -> None:
        self.renewals += 1

    async def analyze(self, inputs: BundleInputs) -> dict[str, AnalyzedModule] | JsError:
        return self.analysis

    async def run_inline_query(
        self,
        module: ModuleSource,
        request: UdfRequest,
        transaction: Transaction,
        host: TransactionHost,
    ) -> UdfOutcome:
        raise AssertionError("no test asks for it")

    async def evaluate_schema(self, schema: ModuleSource) -> str | JsError:
        return self.schema_json

    async def evaluate_auth_config(self, inputs: BundleInputs) -> str | JsError:
        return self.auth_config(inputs)

    async def evaluate_app_definition(self, inputs: BundleInputs) -> str | JsError:
        return self.definition

    async def close(self) -> None: ...

    async def _run(self, ctx: Ctx) -> UdfOutcome:
        name = ctx.request.path.function
        found = self.functions.get(name)
        if found is None:
            message = f"Could not find public function for '{ctx.request.path.stripped}'."
            return UdfOutcome(result=JsError(message=message))
        self.runs[name] = self.runs.get(name, 0) + 1
        args = decode_json(ctx.request.args_json)
        assert isinstance(args, list)
        result: FunctionResult | JsError
        try:
            value = await found[1](ctx, args[0])  # type: ignore[arg-type]
            result = FunctionResult(encode_json(value))
        except UserCodeError as error:
            result = JsError(message=f"Uncaught Error: {error}")
        except FenchelError as error:
            if not error.is_developer_error:
                raise
            result = JsError(message=f"Uncaught Error: {error.message}", data_json=error.data_json)
        outcome = UdfOutcome(result=result, log_lines=tuple(ctx.lines), journal=QueryJournal())
        return replace(outcome, **ctx.outcome)


async def _no_http_actions(exchange: HttpExchange, ctx: Ctx) -> UdfOutcome:
    raise AssertionError("the test has no HTTP actions")


@dataclass
class Backend:
    """One running application and its parts."""

    application: Application
    database: Database
    runner: FakeFunctionRunner
    runtime: Runtime
    file_storage: MemoryFileStorage

    async def query(self, name: str, args: dict[str, Value] | None = None, **fields: Any) -> Value:
        """The value of a query that must succeed."""
        run = await self.application.run_query(call(name, args, **fields))
        assert run.result.is_success, run.result.error_message
        return decode_json(run.result.value_json)

    async def mutate(self, name: str, args: dict[str, Value] | None = None, **fields: Any) -> Value:
        run = await self.application.run_mutation(call(name, args, **fields))
        assert run.result.is_success, run.result.error_message
        return decode_json(run.result.value_json)

    async def wait_until(self, condition: Callable[[Transaction], Awaitable[bool]]) -> None:
        """Return when `condition` holds in a snapshot; looks again after each commit."""
        async with asyncio.timeout(30):
            while True:
                tx = self.database.begin()
                if await condition(tx):
                    return
                token = self.database.token(tx)
                assert await wait_for_change(self.database, token, SystemClock(), 30)


def call(
    name: str,
    args: dict[str, Value] | None = None,
    *,
    identity: Identity | None = None,
    module: str = "app",
) -> FunctionCall:
    return FunctionCall(
        path=f"{module}:{name}",
        args_json=encode_json(args or {}),
        identity=identity or Anonymous(),
        caller=FunctionCaller.HTTP_API,
        request_id=REQUEST_ID,
    )


def user(subject: str) -> User:
    attributes = {"subject": subject, "issuer": "i", "tokenIdentifier": f"i|{subject}"}
    return User(UserIdentity(attributes=attributes, expires_ns=None))


def admin() -> Admin:
    return Admin()


@asynccontextmanager
async def running_backend(
    runner: FakeFunctionRunner,
    *,
    runtime: Runtime | None = None,
    persistence: Persistence | None = None,
    is_started: bool = False,
) -> AsyncIterator[Backend]:
    """An application whose module rows say that `app.js` exports the functions."""
    backend = await build_backend(runner, persistence or MemoryPersistence(), runtime or Runtime())
    try:
        await deploy_functions(backend)
        if is_started:
            await backend.application.start()
        yield backend
    finally:
        await backend.application.close()
        await backend.database.close()


async def build_backend(
    runner: FakeFunctionRunner, persistence: Persistence, runtime: Runtime
) -> Backend:
    """An application that is not started, over an open database; nothing is deployed to it."""
    database = await Database.open(persistence, runtime, VIRTUAL_TABLES)
    runner.database = database
    file_storage = MemoryFileStorage()
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
    return Backend(application, database, runner, runtime, file_storage)


async def deploy_functions(backend: Backend) -> None:
    """Write the module row that schedules check against."""
    functions = tuple(
        AnalyzedFunction(name=name, udf_type=udf_type)  # type: ignore[arg-type]
        for name, (udf_type, _) in backend.runner.functions.items()
    )
    text = encode_analyzed_module(AnalyzedModule(functions=functions))
    tx = backend.database.begin()
    module = Module(
        path="app.js",
        source_package_id="",
        environment="isolate",
        sha256="0" * 64,
        analyze_result=text,
    )
    await replace_modules(tx, [module])
    await backend.database.commit(tx)


class SteppedClock:
    """Time stands still until the test moves it; sleepers wake when their time has come."""

    def __init__(self) -> None:
        self._now_ns = START_NS
        self._moved = asyncio.Event()

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic(self) -> float:
        return self._now_ns / 1e9

    async def sleep(self, seconds: float) -> None:
        until_ns = self._now_ns + int(seconds * 1e9)
        await asyncio.sleep(0)
        while self._now_ns < until_ns:
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * 1e9)
        self._moved.set()
        self._moved = asyncio.Event()


class ManualClock:
    """Monotonic time that a test moves; everything else is the system's."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000 + int(self.seconds * 1e9)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        await (asyncio.Event().wait() if seconds > 0 else asyncio.sleep(0))


def document_functions() -> FakeFunctionRunner:
    """Queries over tables of `{text}` documents, over the caller and the clock; one insert."""
    runner = FakeFunctionRunner()

    @runner.query
    async def documents(ctx: Ctx, args: dict[str, Any]) -> Value:
        query = {
            "source": {"type": "FullTableScan", "tableName": args["table"], "order": None},
            "operators": [],
        }
        stream = ctx.tx.user().open_stream(query)
        found: list[Value] = []
        while (document := await stream.next()) is not None:
            found.append(document.value["text"])
        return found

    @runner.query
    async def whoami(ctx: Ctx, args: dict[str, Any]) -> Value:
        return ctx.identity()

    @runner.query
    async def now(ctx: Ctx, args: dict[str, Any]) -> Value:
        ctx.outcome["observed_time"] = True
        return float(ctx.request.unix_ms)

    @runner.query
    async def broken(ctx: Ctx, args: dict[str, Any]) -> Value:
        raise UserCodeError("always")

    @runner.mutation
    async def insert(ctx: Ctx, args: dict[str, Any]) -> Value:
        return await ctx.tx.user().insert(args["table"], {"text": args["text"]})

    return runner
