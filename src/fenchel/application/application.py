"""The one object that the outer rooms talk to: run functions, deploy, look at the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from fenchel.application.background_loops import supervise
from fenchel.application.calls import (
    ActionRun,
    ClientResult,
    FunctionCall,
    HttpActionCall,
    HttpActionError,
    MutationRun,
    QueryRun,
    SessionRequest,
)
from fenchel.application.cleanup import Cleaner
from fenchel.application.client_results import (
    encode_client_error,
    encode_client_result,
    encode_http_error,
)
from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.application.executions import (
    Executions,
    Invocation,
    decode_call,
    decode_http_call,
)
from fenchel.application.function_log import FunctionLog
from fenchel.application.metrics import ApplicationMetrics
from fenchel.application.query_cache import CachedQuery, QueryCacheStatistics
from fenchel.application.query_runner import QueryAnswer
from fenchel.application.table_shapes import TableShapes
from fenchel.application.usage import UsageTracker
from fenchel.application.wiring import (
    Foundation,
    build_executors,
    build_push_services,
    build_runners,
    build_snapshot_services,
    build_stored_files,
)
from fenchel.auth import KeyBroker, check_may_write
from fenchel.database import (
    Database,
    IndexBackfiller,
    RepeatableTimestamp,
    Retention,
    SchemaValidator,
    Subscription,
    Token,
    Transaction,
)
from fenchel.definitions import AuthProvider
from fenchel.documents import Timestamp
from fenchel.file_storage import FileStorage
from fenchel.function_runner import AllowedVisibility, FunctionRunner
from fenchel.model import list_auth_providers
from fenchel.runtime import BackgroundTasks, Runtime
from fenchel.udf import JsError, UdfOutcome


class Application:
    """Start value: not running. `start` brings up the background loops, `close` ends everything.

    Functions may be run between the two. Invariant: every task that this object starts belongs to
    `_tasks` and ends with it.
    """

    def __init__(
        self,
        *,
        database: Database,
        function_runner: FunctionRunner,
        file_storage: FileStorage,
        export_storage: FileStorage,
        import_storage: FileStorage,
        user_storage: FileStorage,
        key_broker: KeyBroker,
        canonical_urls: CanonicalUrls,
        runtime: Runtime,
    ) -> None:
        base = Foundation(
            database=database,
            function_runner=function_runner,
            file_storage=file_storage,
            export_storage=export_storage,
            import_storage=import_storage,
            user_storage=user_storage,
            key_broker=key_broker,
            canonical_urls=canonical_urls,
            runtime=runtime,
        )
        self._database = database
        self._function_runner = function_runner
        self._runtime = runtime
        self._tasks = BackgroundTasks()
        self.function_log = FunctionLog(runtime)
        self.usage = UsageTracker(database, runtime)
        self.files = build_stored_files(base, self.usage)
        self.metrics = metrics = ApplicationMetrics()
        executions = Executions(runtime, self.function_log, self.usage, metrics)
        self._runners = build_runners(base, executions, self.files, metrics, self._tasks)
        self.inline_queries = self._runners.inline_queries
        self._executors = build_executors(base, self._runners, metrics, self._tasks)
        push = build_push_services(base)
        self.environment, self.deploy = push.environment, push.deploy
        self._snapshots = build_snapshot_services(base, self.files)
        self.exports, self.imports = self._snapshots.exports, self._snapshots.imports
        self.streaming_exports = self._snapshots.streaming_exports
        self.data_sync = self._snapshots.data_sync
        self.table_shapes = TableShapes(database=database)

    async def start(self) -> None:
        """Recover what a former process left unfinished, then bring up the background loops."""
        jobs, crons = self._executors.jobs, self._executors.crons
        await jobs.fail_interrupted()
        await crons.fail_interrupted()
        await self.deploy.recover()
        await self.deploy.warm_deployed()
        cleaner = Cleaner(database=self._database, runtime=self._runtime)
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "job executor": jobs.loop.run,
            "cron executor": crons.loop.run,
            "index backfiller": IndexBackfiller(self._database).run,
            "schema validator": SchemaValidator(self._database).run,
            "cleaner": cleaner.run,
            "push cleaner": self.deploy.run,
            "repeatable timestamp": RepeatableTimestamp(self._database).run,
            "retention": (await Retention.load(self._database)).run,
            "export worker": self._snapshots.export_worker.run,
            "import worker": self._snapshots.import_worker.run,
            "listed snapshots": self._snapshots.listed.run,
            "file cleaner": self.files.run,
            "usage": self.usage.run,
            "file totals": self.usage.file_totals.run,
        }
        for name, loop in loops.items():
            self._tasks.spawn(name, supervise(self._runtime, name, loop))

    async def close(self) -> None:
        """Cancel all that runs; the next start finds scheduled actions among it failed."""
        await self._tasks.close()
        await self.usage.close()

    async def run_query(
        self, call: FunctionCall, *, ts: Timestamp | None = None, journal: str | None = None
    ) -> QueryRun:
        """The query at exactly `ts`, or at the latest timestamp.

        Raises: BadConvexFunctionIdentifier; OUT_OF_RETENTION if `ts` is too old; FenchelError for
        failures of the system. A failing function is a result.
        """
        invocation = decode_call(call)
        is_present = ts is None
        ts = self._database.latest_ts() if ts is None else ts
        if invocation.path.is_system:
            answer = QueryAnswer(query=await self._runners.system_queries.run(invocation, ts))
        else:
            opened = self._runners.queries.open_journal(journal)
            answer = await self._runners.queries.run(invocation, ts, opened)
        run = self._query_run(call, answer.query, ts)
        return replace(run, repeat=answer.repeat) if is_present else run

    def find_query(
        self, call: FunctionCall, *, ts: Timestamp, journal: str | None = None
    ) -> QueryRun | None:
        """What `run_query` would give, if it is known already. Raises as `run_query`."""
        invocation = decode_call(call)
        if invocation.path.is_system:
            return None
        queries = self._runners.queries
        query = queries.find(invocation, ts, queries.open_journal(journal))
        return None if query is None else self._query_run(call, query, ts)

    def _query_run(self, call: FunctionCall, query: CachedQuery, ts: Timestamp) -> QueryRun:
        return QueryRun(
            result=self._encode(query.outcome, call),
            ts=ts,
            token=query.token,
            journal=self._runners.queries.seal_journal(query.outcome.journal),
            read_fingerprint=lambda: query.fingerprint,
            is_identity_free=not query.outcome.observed_identity,
        )

    async def run_mutation(
        self,
        call: FunctionCall,
        *,
        session: SessionRequest | None = None,
        on_commit: Callable[[Timestamp], None] | None = None,
    ) -> MutationRun:
        """Run and commit, after conflicts again. With a session a repeated call gets the first
        answer. `on_commit` is called with the timestamp before anybody can see the writes.

        Raises: ConflictError after the last retry; FenchelError for failures of the system.
        """
        check_may_write(call.identity)
        run = await self._runners.mutations.run(decode_call(call), session, on_commit=on_commit)
        return MutationRun(result=self._encode(run.outcome, call), ts=run.ts)

    async def run_action(self, call: FunctionCall) -> ActionRun:
        """Run once. Raises FenchelError for failures of the system, maybe after effects."""
        check_may_write(call.identity)
        outcome = await self._runners.actions.run(decode_call(call))
        return ActionRun(result=self._encode(outcome, call))

    async def run_http_action(self, call: HttpActionCall) -> HttpActionError | None:
        """Answer one HTTP request. An error is for the caller to send, if no response was begun.

        Raises: NOT_FOUND HttpActionsNotEnabled, NoMatchingRoutes; FenchelError for failures of the
        system, maybe after effects.
        """
        outcome = await self._runners.actions.run_http(
            decode_http_call(call), call.head, call.client
        )
        if not isinstance(outcome.result, JsError):
            return None
        return encode_http_error(
            outcome.result, request_id=call.request_id, redact_errors=self._redact_errors
        )

    async def run_function(self, call: FunctionCall) -> ActionRun:
        """Run a function of whichever type it is (deploy-protocol 3.2)."""
        invocation = decode_call(call)
        match await self._find_type(invocation):
            case "Query":
                return ActionRun(result=(await self.run_query(call)).result)
            case "Mutation":
                return ActionRun(result=(await self.run_mutation(call)).result)
            case "Action":
                return await self.run_action(call)
            case _:
                return ActionRun(result=self._missing_function(invocation, call))

    async def run_inline_query(self, call: FunctionCall, source: str) -> ActionRun:
        """Run the default export of `source` as a query; `call.path` is the module's name.

        Raises: InvalidInlineQuery if it does not compile; FenchelError for failures of the system.
        """
        outcome = await self.inline_queries.run(decode_call(call), source)
        return ActionRun(result=self._encode(outcome, call))

    def _missing_function(self, invocation: Invocation, call: FunctionCall) -> ClientResult:
        """The CLI lists the functions that there are when it reads the first four words."""
        error = JsError(message=f"Could not find function for '{invocation.path.stripped}'.")
        return encode_client_error(
            error, request_id=call.request_id, redact_errors=self._redact_errors
        )

    async def next_due_ns(self, tx: Transaction) -> int | None:
        """When the first unfinished job or cron run is, or was, due; None if there is none."""
        executors = (self._executors.jobs, self._executors.crons)
        times = [await executor.loop.next_due_ns(tx) for executor in executors]
        return min((time for time in times if time is not None), default=None)

    async def auth_providers(self) -> list[AuthProvider]:
        """Whose tokens are accepted now."""
        return await list_auth_providers(self._database.begin())

    @property
    def query_cache_statistics(self) -> QueryCacheStatistics:
        return self._runners.queries.cache.statistics

    def latest_ts(self) -> Timestamp:
        """The newest timestamp at which a query can run."""
        return self._database.latest_ts()

    def subscribe(
        self, token: Token, on_invalidate: Callable[[Subscription], None]
    ) -> Subscription:
        """Call back once when a commit touches what the token read."""
        return self._database.subscribe(token, on_invalidate)

    @property
    def _redact_errors(self) -> bool:
        return self._runtime.settings.application.redact_errors

    def _encode(self, outcome: UdfOutcome, call: FunctionCall) -> ClientResult:
        return encode_client_result(
            outcome, request_id=call.request_id, redact_errors=self._redact_errors
        )

    async def _find_type(self, invocation: Invocation) -> str | None:
        """None for a function that is unknown, or must seem so to this caller."""
        if invocation.path.is_system:
            return "Query"
        tx = self._database.begin()
        function = await self._function_runner.find_function(tx, invocation.path)
        is_public_only = invocation.visibility is AllowedVisibility.PUBLIC_ONLY
        if function is None or (function.is_internal and is_public_only):
            return None
        return function.udf_type
