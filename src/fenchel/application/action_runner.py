"""Running actions, and what they may ask for while they run (execution 2.12)."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass

from msgspec.structs import replace

from fenchel.application.client_results import callee_error
from fenchel.application.executions import Executions, Invocation, decode_callback
from fenchel.application.mutation_runner import MutationRunner
from fenchel.application.query_runner import QueryRunner
from fenchel.application.scheduling import TransactionServices
from fenchel.application.stored_files import StoredFiles
from fenchel.application.transactions import Result, Work, run_transaction
from fenchel.database import Database, Transaction
from fenchel.definitions import FunctionPath
from fenchel.function_runner import FunctionRunner
from fenchel.runtime import Runtime
from fenchel.udf import (
    FileAccess,
    FileSource,
    FunctionResult,
    HttpClient,
    HttpExchange,
    HttpRequestHead,
    LogLine,
    QueryJournal,
    UdfOutcome,
    UdfRequest,
    UdfType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRunner:
    """Also the callbacks of the actions it runs: each is a transaction of its own."""

    database: Database
    function_runner: FunctionRunner
    queries: QueryRunner
    mutations: MutationRunner
    executions: Executions
    services: TransactionServices
    files: StoredFiles
    runtime: Runtime

    async def run(self, invocation: Invocation) -> UdfOutcome:
        """Run once, never again. Raises FenchelError for failures of the system."""

        def stream_line(line: LogLine) -> None:
            self.executions.record_progress(invocation, request, (line,))

        request = self.executions.begin(invocation, UdfType.ACTION, on_log_line=stream_line)
        outcome = await self.function_runner.run_action(
            request, self, visibility=invocation.visibility
        )
        self.executions.record_outcome(invocation, request, outcome)
        return outcome

    async def run_http(
        self, invocation: Invocation, head: HttpRequestHead, client: HttpClient
    ) -> UdfOutcome:
        """Answer one HTTP request, once. What fails before the response began is for the caller to
        answer. Raises FenchelError as `run`; HttpActionsNotEnabled, NoMatchingRoutes.
        """
        routed = invocation

        def name_route(component: str, route: str) -> None:
            nonlocal routed
            path = dataclasses.replace(invocation.path, component=component)
            routed = replace(invocation, path=path, route=route)

        def stream_line(line: LogLine) -> None:
            self.executions.record_progress(routed, request, (line,))

        request = self.executions.begin(invocation, UdfType.HTTP_ACTION, on_log_line=stream_line)
        exchange = HttpExchange(head=head, client=client, on_route=name_route)
        outcome = await self.function_runner.run_http_action(request, exchange, self)
        self.executions.record_outcome(routed, request, outcome)
        return outcome

    async def run_query(self, request: UdfRequest, path: FunctionPath, args_json: str) -> str:
        ts = self.database.latest_ts()
        invocation = decode_callback(request, path, args_json)
        cached = (await self.queries.run(invocation, ts, QueryJournal())).query
        return self._value_json(cached.outcome)

    async def run_mutation(self, request: UdfRequest, path: FunctionPath, args_json: str) -> str:
        run = await self.mutations.run(decode_callback(request, path, args_json))
        return self._value_json(run.outcome)

    async def run_action(self, request: UdfRequest, path: FunctionPath, args_json: str) -> str:
        return self._value_json(await self.run(decode_callback(request, path, args_json)))

    async def schedule(
        self, request: UdfRequest, path: FunctionPath, args_json: str, unix_seconds: float
    ) -> str:
        async def work(tx: Transaction) -> str:
            return await self.services.schedule(request, tx, path, args_json, unix_seconds)

        return await self._transact(request, work)

    async def cancel_job(self, request: UdfRequest, job_id: str) -> None:
        async def work(tx: Transaction) -> None:
            await self.services.cancel_job(request, tx, job_id)

        await self._transact(request, work)

    async def with_files(
        self, request: UdfRequest, work: Callable[[FileAccess], Awaitable[Result]]
    ) -> Result:
        async def run(tx: Transaction) -> Result:
            return await work(self.services.files(tx, request.path.component))

        return await self._transact(request, run)

    async def store_file(
        self,
        request: UdfRequest,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None,
        sha256: bytes | None,
    ) -> str:
        return await self.files.upload(
            request.path.component, chunks, content_type=content_type, sha256=sha256
        )

    async def open_file(
        self, request: UdfRequest, storage_id: str, start: int, length: int
    ) -> FileSource:
        return await self.files.open_part(storage_id, request.path.component, start, length)

    async def _transact(self, request: UdfRequest, work: Work[Result]) -> Result:
        source = request.path.stripped
        return await run_transaction(self.database, self.runtime, work, write_source=source)

    def _value_json(self, outcome: UdfOutcome) -> str:
        if isinstance(outcome.result, FunctionResult):
            return outcome.result.value_json
        redact_errors = self.runtime.settings.application.redact_errors
        raise callee_error(outcome.result, redact_errors=redact_errors)
