"""The composition root: the only place that chooses implementations.

`compose` starts the rooms from the lowest to the highest, `Backend.close` stops them in reverse.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fenchel.application import Application, CanonicalUrls, ClockAdvancer, DataResetter
from fenchel.auth import HttpDocuments, KeyBroker, TokenVerifier
from fenchel.database import Database
from fenchel.file_storage import (
    FileStorage,
    LocalFileStorage,
    MemoryFileStorage,
    S3Address,
    S3FileStorage,
)
from fenchel.function_runner import (
    CodeSource,
    FunctionRunnerInMemoryIndexes,
    FunctionRunnerMetrics,
    InMemoryIndexCache,
    InProcessFunctionRunner,
)
from fenchel.isolate import (
    Bundler,
    Deployment,
    IsolateMetrics,
    SnapshotBuilder,
    SnapshotCache,
    WorkerPool,
    local_sandbox,
)
from fenchel.model import VIRTUAL_TABLES
from fenchel.persistence import (
    MemoryPersistence,
    Persistence,
    PostgresPersistence,
    SqlitePersistence,
)
from fenchel.runtime import Runtime, ShiftingClock
from fenchel.server.answer_cache import AnswerCache
from fenchel.server.app import ApiApplication
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.bundled_runtime import check_bundled_runtime
from fenchel.server.deploy_routes import DeployHandlers
from fenchel.server.environment_routes import EnvironmentHandlers
from fenchel.server.export_routes import ExportHandlers
from fenchel.server.function_routes import FunctionHandlers
from fenchel.server.http_actions import HttpActions
from fenchel.server.import_routes import ImportHandlers
from fenchel.server.inline_query_routes import InlineQueryHandlers
from fenchel.server.instance import Instance, open_key_broker
from fenchel.server.key_set_routes import KeySetHandlers
from fenchel.server.listeners import Listener, bind
from fenchel.server.log_routes import LogHandlers
from fenchel.server.metrics_routes import MetricsHandlers
from fenchel.server.probe_routes import ProbeHandlers
from fenchel.server.query_cache_metrics import QueryCacheCollector
from fenchel.server.routing import Router
from fenchel.server.shape_routes import ShapeHandlers
from fenchel.server.shutdown import Shutdown
from fenchel.server.site import SiteApplication
from fenchel.server.storage_routes import StorageHandlers
from fenchel.server.streaming_export_routes import StreamingExportHandlers
from fenchel.server.sync_socket import SyncSockets
from fenchel.server.test_mode_routes import SuiteControls, SuiteHandlers, refusal
from fenchel.server.usage_routes import UsageCollector, UsageHandlers

logger = logging.getLogger(__name__)

_FILES_FOLDER = "files"
_EXPORTS_FOLDER = "exports"
_IMPORTS_FOLDER = "imports"
_STORAGE_FOLDER = "storage"
_SNAPSHOTS_FOLDER = "snapshots"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """`data_dir` None keeps everything in memory; port 0 takes any free one.

    With a `database_url` (`postgres://…`), `data_dir` keeps the files only. `url` and `site_url`
    are what clients use; None means host and port. `require_sandbox` refuses to start where the
    system cannot isolate user code in full. `test_mode`: callers with an admin key may put the
    clock forward and forget all data. `file_storage` keeps the files instead of `data_dir`.
    """

    host: str
    port: int
    site_port: int
    data_dir: Path | None
    instance: Instance
    database_url: str | None = None
    file_storage: S3Address | None = None
    url: str | None = None
    site_url: str | None = None
    require_sandbox: bool = False
    test_mode: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engine:
    """Everything below HTTP."""

    database: Database
    application: Application
    key_broker: KeyBroker
    authenticator: RequestAuthenticator
    runner_metrics: FunctionRunnerMetrics
    suite_controls: SuiteControls | None


class Backend:
    """A running deployment. `close` drains it; afterwards no task, process or file is left open."""

    def __init__(
        self,
        *,
        engine: _Engine,
        urls: CanonicalUrls,
        api: ApiApplication,
        sync_sockets: SyncSockets,
        listeners: tuple[Listener, ...],
        shutdown: Shutdown,
        stack: AsyncExitStack,
        runtime: Runtime,
    ) -> None:
        self.application = engine.application
        self.database = engine.database
        self.admin_key = engine.key_broker.issue_admin_key()
        self.url = urls.convex_cloud_url
        self.site_url = urls.convex_site_url
        self.sandbox = local_sandbox()
        self._suite_controls = engine.suite_controls
        self._api = api
        self._sync_sockets = sync_sockets
        self._listeners = listeners
        self._shutdown = shutdown
        self._stack = stack
        self._drain_seconds_max = runtime.settings.server.drain_seconds_max

    async def wait_until(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set. Raises: DatabaseStopped, LeaseLost."""
        stopped = asyncio.create_task(stop.wait(), name="stop signal")
        failed = asyncio.create_task(self.database.wait_failed(), name="database failure")
        try:
            await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                raise failed.result()
        finally:
            stopped.cancel()
            failed.cancel()

    async def advance_clock(self, seconds: float) -> None:
        """Put the clock forward and return when everything that fell due has run.

        Raises: TestModeOff, ClockNotSettled.
        """
        await self._controls().clock.advance(round(seconds * 1_000))

    async def reset(self) -> None:
        """Forget all data; code, schema and indexes stay. Raises: TestModeOff."""
        await self._controls().data.reset()

    def _controls(self) -> SuiteControls:
        if self._suite_controls is None:
            raise refusal()
        return self._suite_controls

    async def close(self) -> None:
        """Stop accepting, finish what runs until the drain deadline, close sockets and database."""
        for listener in self._listeners:
            listener.stop_accepting()
        self._shutdown.begin()
        async with asyncio.TaskGroup() as group:
            seconds_max = self._drain_seconds_max
            group.create_task(self._api.drain(seconds_max=seconds_max), name="drain requests")
            group.create_task(self._sync_sockets.drain(seconds_max=seconds_max), name="drain sync")
        await self._stack.aclose()


async def compose(options: ServeOptions, runtime: Runtime) -> Backend:
    """A backend that answers on its ports.

    Raises: FenchelError with a text for the user: PortNotAvailable, DataDirectoryLocked,
    DataDirectoryNotWritable, DatabaseUnreachable, RuntimeMissing, SandboxIncomplete and the like.
    """
    check_bundled_runtime()
    if options.test_mode:
        runtime = replace(runtime, clock=ShiftingClock(runtime.clock))
    if options.require_sandbox:
        local_sandbox().check_complete()
    async with AsyncExitStack() as stack:
        sockets = []
        for port, option in ((options.port, "--port"), (options.site_port, "--site-port")):
            sockets.append(bind(options.host, port, option=option))
            stack.callback(sockets[-1].close)
        urls = _urls(options, *(socket.getsockname()[1] for socket in sockets))
        engine = await stack.enter_async_context(_running_engine(options, urls, runtime))
        shutdown = Shutdown()
        sync_sockets = SyncSockets(
            backend=engine.application, authenticator=engine.authenticator, runtime=runtime
        )
        api = ApiApplication(
            router=_router(engine, shutdown, runtime),
            http_actions=HttpActions(
                application=engine.application,
                authenticator=engine.authenticator,
                settings=runtime.settings.server,
            ),
            sync_sockets=sync_sockets,
            runtime=runtime,
        )
        listeners = (
            Listener(sockets[0], api, runtime.settings.sync, answers=api.answers),
            Listener(
                sockets[1],
                SiteApplication(api),
                runtime.settings.sync,
                answers=AnswerCache(runtime.clock, bytes_max=0),
            ),
        )
        for listener in listeners:
            await listener.start()
            stack.push_async_callback(listener.close)
        return Backend(
            engine=engine,
            urls=urls,
            api=api,
            sync_sockets=sync_sockets,
            listeners=listeners,
            shutdown=shutdown,
            stack=stack.pop_all(),
            runtime=runtime,
        )


@asynccontextmanager
async def _running_engine(
    options: ServeOptions, urls: CanonicalUrls, runtime: Runtime
) -> AsyncIterator[_Engine]:
    async with AsyncExitStack() as stack:
        key_broker = open_key_broker(options.instance)
        persistence = await _open_persistence(options, runtime)
        # The database owns the persistence from here on and closes it.
        metrics = FunctionRunnerMetrics()
        old_indexes = InMemoryIndexCache(persistence, metrics)
        database = await Database.open(
            persistence,
            runtime,
            VIRTUAL_TABLES,
            older_indexes=FunctionRunnerInMemoryIndexes(old_indexes),
        )
        stack.push_async_callback(database.close)
        stack.push_async_callback(old_indexes.close)
        # After the persistence, which says that no other process uses the folder.
        file_storage = await _open_storage(options, _FILES_FOLDER, runtime)
        runner = _function_runner(options, urls, database, file_storage, metrics, runtime)
        stack.push_async_callback(runner.close)
        await runner.start()
        application = Application(
            database=database,
            function_runner=runner,
            file_storage=file_storage,
            export_storage=await _open_storage(options, _EXPORTS_FOLDER, runtime),
            import_storage=await _open_storage(options, _IMPORTS_FOLDER, runtime),
            user_storage=await _open_storage(options, _STORAGE_FOLDER, runtime),
            key_broker=key_broker,
            canonical_urls=urls,
            runtime=runtime,
        )
        stack.push_async_callback(application.close)
        metrics.registry.register(UsageCollector(application.usage))
        metrics.registry.register(QueryCacheCollector(lambda: application.query_cache_statistics))
        await application.start()
        documents = await stack.enter_async_context(HttpDocuments(runtime.clock))
        verifier = TokenVerifier(load_providers=application.auth_providers, documents=documents)
        yield _Engine(
            database=database,
            application=application,
            key_broker=key_broker,
            authenticator=RequestAuthenticator(
                key_broker=key_broker, token_verifier=verifier, runtime=runtime
            ),
            runner_metrics=metrics,
            suite_controls=_suite_controls(database, application, runtime),
        )


def _suite_controls(
    database: Database, application: Application, runtime: Runtime
) -> SuiteControls | None:
    if not isinstance(runtime.clock, ShiftingClock):
        return None
    clock = ClockAdvancer(database=database, clock=runtime.clock, next_due=application.next_due_ns)
    return SuiteControls(clock=clock, data=DataResetter(database=database, runtime=runtime))


async def _open_persistence(options: ServeOptions, runtime: Runtime) -> Persistence:
    if options.database_url is not None:
        return await PostgresPersistence.open(options.database_url, runtime)
    if options.data_dir is not None:
        return SqlitePersistence.open(options.data_dir, runtime.settings.database)
    return MemoryPersistence()


async def _open_storage(options: ServeOptions, folder: str, runtime: Runtime) -> FileStorage:
    """One storage for each kind of file, because each owner deletes what it does not know."""
    if options.file_storage is not None:
        return await S3FileStorage.connect(options.file_storage, folder, runtime.randomness)
    if options.data_dir is not None:
        return LocalFileStorage(options.data_dir / folder)
    return MemoryFileStorage()


def _function_runner(
    options: ServeOptions,
    urls: CanonicalUrls,
    database: Database,
    file_storage: FileStorage,
    metrics: FunctionRunnerMetrics,
    runtime: Runtime,
) -> InProcessFunctionRunner:
    system_environment = {
        "CONVEX_CLOUD_URL": urls.convex_cloud_url,
        "CONVEX_SITE_URL": urls.convex_site_url,
    }
    return InProcessFunctionRunner(
        database=database,
        pool=WorkerPool(
            _in_real_time(runtime),
            deployment=Deployment(name=options.instance.name),
            snapshot_builder=SnapshotBuilder(
                runtime.settings.isolate, cache=_snapshot_cache(options, runtime)
            ),
            metrics=IsolateMetrics(metrics.registry),
        ),
        bundler=Bundler(),
        code_source=CodeSource(file_storage, system_environment=system_environment),
        runtime=runtime,
        metrics=metrics,
    )


def _snapshot_cache(options: ServeOptions, runtime: Runtime) -> SnapshotCache | None:
    bytes_max = runtime.settings.isolate.snapshot_cache_bytes_max
    if options.data_dir is None or bytes_max == 0:
        return None
    return SnapshotCache(options.data_dir / _SNAPSHOTS_FOLDER, bytes_max)


def _in_real_time(runtime: Runtime) -> Runtime:
    """For what watches processes: putting the clock forward must not make them seem to hang."""
    clock = runtime.clock
    return replace(runtime, clock=clock.base) if isinstance(clock, ShiftingClock) else runtime


def _router(engine: _Engine, shutdown: Shutdown, runtime: Runtime) -> Router:
    settings = runtime.settings.server
    application = engine.application
    authenticator = engine.authenticator
    return Router(
        FunctionHandlers(
            application=application,
            authenticator=authenticator,
            body_bytes_max=settings.function_body_bytes_max,
        ).routes,
        DeployHandlers(
            deploy=application.deploy,
            authenticator=authenticator,
            shutdown=shutdown,
            body_bytes_max=settings.push_body_bytes_max,
        ).routes,
        EnvironmentHandlers(
            environment=application.environment,
            authenticator=authenticator,
            body_bytes_max=settings.function_body_bytes_max,
        ).routes,
        ExportHandlers(
            exports=application.exports,
            instance_name=engine.key_broker.instance_name,
            authenticator=authenticator,
            body_bytes_max=settings.function_body_bytes_max,
        ).routes,
        StreamingExportHandlers(
            exports=application.streaming_exports,
            sync=application.data_sync,
            authenticator=authenticator,
            body_bytes_max=settings.function_body_bytes_max,
        ).routes,
        ImportHandlers(
            imports=application.imports,
            authenticator=authenticator,
            body_bytes_max=settings.function_body_bytes_max,
            part_bytes_max=runtime.settings.snapshot.import_part_bytes_max,
        ).routes,
        LogHandlers(
            function_log=application.function_log, authenticator=authenticator, shutdown=shutdown
        ).routes,
        ProbeHandlers(
            instance_name=engine.key_broker.instance_name, authenticator=authenticator
        ).routes,
        StorageHandlers(application.files).routes,
        MetricsHandlers(
            engine.runner_metrics.registry,
            application.metrics.registry,
            engine.database.commit_metrics.registry,
        ).routes,
        KeySetHandlers(token_signer=engine.key_broker.token_signer(issuer="")).routes,
        UsageHandlers(usage=application.usage, authenticator=authenticator).routes,
        SuiteHandlers(
            controls=engine.suite_controls,
            authenticator=authenticator,
            body_bytes_max=settings.function_body_bytes_max,
        ).routes,
        InlineQueryHandlers(
            application=application,
            authenticator=authenticator,
            body_bytes_max=settings.function_body_bytes_max,
        ).routes,
        ShapeHandlers(application=application, authenticator=authenticator).routes,
    )


def _urls(options: ServeOptions, port: int, site_port: int) -> CanonicalUrls:
    """Listening on every address does not say under which one clients come: loopback is a guess."""
    host = "127.0.0.1" if options.host in {"0.0.0.0", "::", ""} else options.host
    host = f"[{host}]" if ":" in host else host
    return CanonicalUrls(
        convex_cloud_url=(options.url or f"http://{host}:{port}").rstrip("/"),
        convex_site_url=(options.site_url or f"http://{host}:{site_port}").rstrip("/"),
    )
