"""The function runner that shares a process with the database: no copy of the snapshot, no wire."""

from __future__ import annotations

from fenchel.database import Database, Transaction
from fenchel.definitions import AnalyzedFunction, AnalyzedModule, FunctionPath
from fenchel.errors import FenchelError
from fenchel.function_runner.code_source import CodeSource, DeployedCode
from fenchel.function_runner.metrics import FunctionRunnerMetrics
from fenchel.function_runner.runner import AllowedVisibility, TransactionHost
from fenchel.function_runner.server import FunctionRunnerCore
from fenchel.isolate import (
    BundleInputs,
    Bundler,
    ModuleSource,
    WorkerPool,
)
from fenchel.runtime import Runtime
from fenchel.udf import ActionCallbacks, HttpExchange, JsError, UdfOutcome, UdfRequest

_DRAIN_SECONDS = 5.0


class InProcessFunctionRunner:
    """A `FunctionRunner`. Owns the worker pool: `start` before the first call, `close` after the
    last.
    """

    def __init__(
        self,
        *,
        database: Database,
        pool: WorkerPool,
        bundler: Bundler,
        code_source: CodeSource,
        runtime: Runtime,
        metrics: FunctionRunnerMetrics,
    ) -> None:
        self._database = database
        self._pool = pool
        self._bundler = bundler
        self._metrics = metrics
        self._core = FunctionRunnerCore(
            pool=pool,
            bundler=bundler,
            code_source=code_source,
            database=database,
            runtime=runtime,
            metrics=metrics,
        )
        metrics.watch_pool(pool.statistics)

    async def start(self) -> None:
        """Return when functions can run. Raises: FenchelError if no worker gets ready."""
        await self._pool.start()

    async def close(self) -> None:
        """Give running functions a moment, then end all workers."""
        await self._core.close()
        await self._pool.close(drain_seconds=_DRAIN_SECONDS)

    async def run_udf(
        self,
        request: UdfRequest,
        transaction: Transaction,
        host: TransactionHost,
        *,
        visibility: AllowedVisibility = AllowedVisibility.PUBLIC_ONLY,
    ) -> UdfOutcome:
        try:
            return await self._core.run_udf(request, transaction, host, visibility=visibility)
        except FenchelError as error:
            self._metrics.record_failure(error)
            raise

    async def run_action(
        self,
        request: UdfRequest,
        callbacks: ActionCallbacks,
        *,
        visibility: AllowedVisibility = AllowedVisibility.PUBLIC_ONLY,
    ) -> UdfOutcome:
        transaction = self._database.begin()
        try:
            return await self._core.run_action(
                request, transaction, callbacks, visibility=visibility
            )
        except FenchelError as error:
            self._metrics.record_failure(error)
            raise

    async def run_http_action(
        self, request: UdfRequest, exchange: HttpExchange, callbacks: ActionCallbacks
    ) -> UdfOutcome:
        transaction = self._database.begin()
        try:
            return await self._core.run_http_action(request, transaction, exchange, callbacks)
        except FenchelError as error:
            self._metrics.record_failure(error)
            raise

    async def run_inline_query(
        self,
        module: ModuleSource,
        request: UdfRequest,
        transaction: Transaction,
        host: TransactionHost,
    ) -> UdfOutcome:
        try:
            return await self._core.run_inline_query(module, request, transaction, host)
        except FenchelError as error:
            self._metrics.record_failure(error)
            raise

    async def find_function(
        self, transaction: Transaction, path: FunctionPath
    ) -> AnalyzedFunction | None:
        return await self._core.code_source.load_function(transaction, path)

    async def warm(self, code: DeployedCode) -> None:
        await self._core.warm(code)

    async def renew_lookups(self) -> None:
        await self._core.renew_lookups()

    async def analyze(self, inputs: BundleInputs) -> dict[str, AnalyzedModule] | JsError:
        return await self._pool.analyze(await self._bundler.bundle(inputs, is_app=False))

    async def evaluate_schema(self, schema: ModuleSource) -> str | JsError:
        inputs = BundleInputs(
            modules=[schema], environment_variables={}, import_seed=bytes(32), import_unix_ms=0
        )
        return await self._pool.evaluate_schema(await self._bundler.bundle(inputs, is_app=False))

    async def evaluate_auth_config(self, inputs: BundleInputs) -> str | JsError:
        bundle = await self._bundler.bundle(inputs, is_app=False)
        return await self._pool.evaluate_auth_config(bundle)

    async def evaluate_app_definition(self, inputs: BundleInputs) -> str | JsError:
        bundle = await self._bundler.bundle(inputs, is_app=False)
        return await self._pool.evaluate_app_definition(bundle)
