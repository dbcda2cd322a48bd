"""The core of the function runner: from a path and arguments to an outcome, on whichever machine it
runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from fenchel.database import Database, Transaction
from fenchel.definitions import AnalyzedFunction, FunctionPath
from fenchel.errors import bad_request
from fenchel.function_runner.code_lookup import CodeLookup
from fenchel.function_runner.code_source import CodeSource, DeployedCode
from fenchel.function_runner.function_names import DeployedFunctionNames
from fenchel.function_runner.http_routing import find_http_target
from fenchel.function_runner.inline_query import bundle_inline_query, find_inline_query
from fenchel.function_runner.limit_warnings import (
    response_warnings,
    size_warnings,
    time_warnings,
    usage_warnings,
)
from fenchel.function_runner.metrics import FunctionRunnerMetrics
from fenchel.function_runner.module_cache import ModuleCache
from fenchel.function_runner.runner import AllowedVisibility, TransactionHost
from fenchel.function_runner.validation import check_args, check_function, check_result
from fenchel.isolate import (
    Address,
    Bundler,
    CodeBundle,
    ModuleSource,
    NestedCall,
    NestedKind,
    WorkerPool,
)
from fenchel.runtime import Runtime
from fenchel.runtime.settings import TransactionLimits
from fenchel.udf import (
    ActionCallbacks,
    FunctionResult,
    HttpExchange,
    JsError,
    LogLine,
    QueryJournal,
    UdfOutcome,
    UdfRequest,
    UdfType,
)

_CALL_DEPTH_TEXT = (
    "Cross component call depth limit exceeded. Do you have an infinite loop in your app?"
)


class FunctionRunnerCore:
    """Looks up code, validates, runs, validates again. Holds no state but the module cache."""

    def __init__(
        self,
        *,
        pool: WorkerPool,
        bundler: Bundler,
        code_source: CodeSource,
        database: Database,
        runtime: Runtime,
        metrics: FunctionRunnerMetrics,
    ) -> None:
        self._pool = pool
        self._bundler = bundler
        self._database = database
        self._settings = runtime.settings.isolate
        self._clock = runtime.clock
        self._metrics = metrics
        self._module_cache = ModuleCache(self._build_bundle, metrics)
        self._code_lookup = CodeLookup(database, code_source)
        self.code_source = code_source
        self.names = DeployedFunctionNames(database, code_source)

    async def close(self) -> None:
        await self._module_cache.close()

    async def warm(self, code: DeployedCode) -> None:
        """Put the bundle of `code` into the module cache and into the workers."""
        await self._pool.warm(await self._module_cache.get(code))

    async def renew_lookups(self) -> None:
        await self._code_lookup.renew(self._database.begin())

    async def run_udf(
        self,
        request: UdfRequest,
        transaction: Transaction,
        host: TransactionHost,
        *,
        visibility: AllowedVisibility,
        depth: int = 0,
    ) -> UdfOutcome:
        """A query or mutation, `depth` calls below the one that the caller asked for."""
        assert request.udf_type in (UdfType.QUERY, UdfType.MUTATION)
        start = self._clock.monotonic()
        prepared = await self._prepare(request, transaction, visibility, is_nested=depth > 0)
        if isinstance(prepared, JsError):
            return UdfOutcome(result=prepared)
        function, bundle, request = prepared
        nested_host = _NestingHost(self, host, depth)
        outcome = await self._pool.run_udf(
            bundle, request, transaction, nested_host, is_nested=depth > 0
        )
        return self._finish(function, request, outcome, transaction, start, is_nested=depth > 0)

    async def run_inline_query(
        self,
        module: ModuleSource,
        request: UdfRequest,
        transaction: Transaction,
        host: TransactionHost,
    ) -> UdfOutcome:
        """The default export of a module that is not deployed, beside the deployed ones."""
        start = self._clock.monotonic()
        code = (await self._code_lookup.find(transaction, request.path)).code
        deployed = None if code is None else await self.code_source.fetch_inputs(code)
        bundle = await bundle_inline_query(self._bundler, module, deployed)
        function = await find_inline_query(self._pool, bundle)
        if isinstance(function, JsError):
            return UdfOutcome(result=function)
        error = check_function(function, request, AllowedVisibility.ALL) or check_args(
            function, request, transaction, self._settings, is_nested=False
        )
        if error is not None:
            return UdfOutcome(result=error)
        nested_host = _NestingHost(self, host, 0)
        outcome = await self._pool.run_udf(bundle, request, transaction, nested_host)
        return self._finish(function, request, outcome, transaction, start)

    async def run_action(
        self,
        request: UdfRequest,
        transaction: Transaction,
        callbacks: ActionCallbacks,
        *,
        visibility: AllowedVisibility,
    ) -> UdfOutcome:
        """An action with the code of the transaction's snapshot."""
        assert request.udf_type is UdfType.ACTION
        start = self._clock.monotonic()
        prepared = await self._prepare(request, transaction, visibility)
        if isinstance(prepared, JsError):
            return UdfOutcome(result=prepared)
        function, bundle, request = prepared
        outcome = await self._pool.run_action(bundle, request, callbacks, self.names)
        return self._finish(function, request, outcome, transaction, start)

    async def run_http_action(
        self,
        request: UdfRequest,
        transaction: Transaction,
        exchange: HttpExchange,
        callbacks: ActionCallbacks,
    ) -> UdfOutcome:
        """The router of the app's `http.js` or of a component's that is mounted at the path, with
        the code of the transaction's snapshot.
        """
        assert request.udf_type is UdfType.HTTP_ACTION
        start = self._clock.monotonic()
        head = exchange.head
        target = await find_http_target(
            transaction, self._code_lookup, method=head.method, path=head.path
        )
        request = replace(
            request,
            path=target.function,
            identity=request.identity_for(target.function),
            component_args=target.code.component_args,
        )
        head = dataclasses.replace(head, path=target.path)
        exchange = dataclasses.replace(exchange, head=head)
        bundle = await self._module_cache.get(target.code)
        outcome = await self._pool.run_action(bundle, request, callbacks, self.names, exchange)
        client = exchange.client
        warnings = response_warnings(
            client.response_bytes,
            client.response_bytes_max,
            timestamp_ms=self._clock.now_ns() / 1e6,
        )
        outcome = _with_warnings(request, outcome, warnings)
        self._metrics.record_outcome(request, outcome, self._clock.monotonic() - start)
        return outcome

    async def run_nested(
        self,
        parent: UdfRequest,
        transaction: Transaction,
        call: NestedCall,
        host: TransactionHost,
        depth: int,
    ) -> UdfOutcome:
        """A function inside its caller's transaction (execution 6.9): what a failing mutation wrote
        is undone, what it read stays recorded.
        """
        if depth > self._settings.call_depth_max:
            raise bad_request("MaximumCallDepthExceeded", _CALL_DEPTH_TEXT)
        is_mutation = call.kind is NestedKind.MUTATION
        request = replace(
            parent,
            path=call.path,
            udf_type=UdfType.MUTATION if is_mutation else UdfType.QUERY,
            args_json=f"[{call.args_json}]",
            identity=parent.identity_for(call.path),
            seed=call.seed,
            journal=QueryJournal(),
        )
        if call.kind is NestedKind.SNAPSHOT_QUERY:
            transaction = self._database.begin(ts=transaction.begin_ts)
        if is_mutation:
            transaction.begin_subtransaction()
        try:
            with _limited(transaction, call.limits):
                outcome = await self.run_udf(
                    request, transaction, host, visibility=AllowedVisibility.ALL, depth=depth
                )
        except BaseException:
            if is_mutation:
                transaction.rollback_subtransaction()
            raise
        if is_mutation and isinstance(outcome.result, JsError):
            transaction.rollback_subtransaction()
        elif is_mutation:
            transaction.commit_subtransaction()
        return replace(outcome, log_lines=_label_lines(outcome, call.path))

    # Steps

    async def _prepare(
        self,
        request: UdfRequest,
        transaction: Transaction,
        visibility: AllowedVisibility,
        *,
        is_nested: bool = False,
    ) -> tuple[AnalyzedFunction, CodeBundle, UdfRequest] | JsError:
        found = await self._code_lookup.find(transaction, request.path)
        function = None if found.module is None else found.module.find(request.path.function)
        error = check_function(function, request, visibility)
        if error is None:
            assert function is not None
            error = check_args(function, request, transaction, self._settings, is_nested=is_nested)
        if error is not None:
            self._metrics.record_rejection("validation")
            return error
        assert function is not None
        assert found.code is not None, "a module is deployed, so a package is"
        if found.code.component_args:
            request = replace(request, component_args=found.code.component_args)
        return function, await self._module_cache.get(found.code), request

    def _finish(
        self,
        function: AnalyzedFunction,
        request: UdfRequest,
        outcome: UdfOutcome,
        transaction: Transaction,
        start: float,
        *,
        is_nested: bool = False,
    ) -> UdfOutcome:
        if isinstance(outcome.result, FunctionResult):
            result = check_result(
                function,
                request,
                outcome.result,
                transaction,
                self._settings,
                is_nested=is_nested,
            )
            if result is not outcome.result:
                outcome = replace(outcome, result=result)
        if not is_nested:
            warnings = self._warnings(request, outcome, transaction)
            outcome = _with_warnings(request, outcome, warnings)
        seconds = self._clock.monotonic() - start
        self._metrics.record_outcome(request, outcome, seconds)
        self._metrics.realms.record(request, outcome)
        return outcome

    def _warnings(
        self, request: UdfRequest, outcome: UdfOutcome, transaction: Transaction
    ) -> Iterator[LogLine]:
        """What came close to a limit (execution 3.7)."""
        settings = self._settings
        now_ms = self._clock.now_ns() / 1e6
        yield from size_warnings(
            request.udf_type, request.args_json, outcome.result, settings, timestamp_ms=now_ms
        )
        if request.udf_type is UdfType.ACTION:
            return
        yield from usage_warnings(transaction.usage, timestamp_ms=now_ms)
        yield from time_warnings(
            outcome.user_seconds, settings.user_time_seconds_max, timestamp_ms=now_ms
        )

    async def _build_bundle(self, code: DeployedCode) -> CodeBundle:
        bundle = await self._bundler.bundle(await self.code_source.fetch_inputs(code))
        with self._metrics.snapshot_build_seconds.time():
            snapshot = await self._pool.snapshot_builder.build(bundle)
        return dataclasses.replace(bundle, snapshot=snapshot)


class _NestingHost:
    """The host that running code talks to: the application's services, and nested calls one level
    deeper.
    """

    def __init__(self, core: FunctionRunnerCore, host: TransactionHost, depth: int) -> None:
        self._core = core
        self._host = host
        self._depth = depth
        self.schedule = host.schedule
        self.cancel_job = host.cancel_job
        self.sign_token = host.sign_token
        self.seal_cursor = host.seal_cursor
        self.open_cursor = host.open_cursor
        self.files = host.files

    async def run_nested(
        self, parent: UdfRequest, transaction: Transaction, call: NestedCall
    ) -> UdfOutcome:
        return await self._core.run_nested(parent, transaction, call, self._host, self._depth + 1)

    async def resolve_address(
        self, transaction: Transaction | None, address: Address, component: str
    ) -> FunctionPath:
        return await self._core.names.resolve_address(transaction, address, component)

    async def create_function_handle(
        self, transaction: Transaction | None, address: Address, component: str
    ) -> str:
        return await self._core.names.create_function_handle(transaction, address, component)

    async def read_environment_variables(
        self, transaction: Transaction, names: Iterable[str]
    ) -> None:
        await self._core.code_source.read_environment_variables(transaction, names)


@contextmanager
def _limited(transaction: Transaction, limits: TransactionLimits) -> Iterator[None]:
    """Within the block the transaction's counters are held against `limits`."""
    usage = transaction.usage
    outer = usage.limits
    usage.limits = limits
    try:
        yield
    finally:
        usage.limits = outer


def _with_warnings(
    request: UdfRequest, outcome: UdfOutcome, warnings: Iterable[LogLine]
) -> UdfOutcome:
    """The outcome with these lines at its end; who hears lines as they come hears them too."""
    lines = tuple(warnings)
    if not lines:
        return outcome
    if request.on_log_line is not None:
        for line in lines:
            request.on_log_line(line)
    return replace(outcome, log_lines=(*outcome.log_lines, *lines))


def _label_lines(outcome: UdfOutcome, path: FunctionPath) -> tuple[LogLine, ...]:
    """Lines of a sub-function say which one wrote them; deeper ones say it already."""
    return tuple(
        line
        if line.udf_path is not None
        else replace(line, udf_path=path.canonical, component_path=path.component)
        for line in outcome.log_lines
    )
