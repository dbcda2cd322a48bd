"""What an application is made of, put together: each function builds one part of it."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application.action_runner import ActionRunner
from fenchel.application.auth_config_evaluation import AuthConfigEvaluator
from fenchel.application.cron_executor import CronExecutor
from fenchel.application.data_sync import DataSync
from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.application.deploy_service import DeployService
from fenchel.application.environment import EnvironmentService
from fenchel.application.executions import Executions
from fenchel.application.executor_parts import ExecutorParts
from fenchel.application.exports import ExportService, ExportWorker
from fenchel.application.imports import ImportService, ImportUploads, ImportWorker
from fenchel.application.inline_queries import InlineQueries
from fenchel.application.job_executor import JobExecutor
from fenchel.application.listed_snapshots import ListedSnapshots
from fenchel.application.metrics import ApplicationMetrics
from fenchel.application.mutation_runner import MutationRunner
from fenchel.application.query_cache import QueryCache
from fenchel.application.query_runner import QueryRunner
from fenchel.application.scheduling import TransactionServices
from fenchel.application.stored_files import StoredFiles
from fenchel.application.streaming_export import StreamingExports
from fenchel.application.system_query_runner import SystemQueryRunner
from fenchel.application.usage import UsageTracker
from fenchel.auth import KeyBroker
from fenchel.database import Database
from fenchel.file_storage import FileStorage
from fenchel.function_runner import FunctionRunner
from fenchel.runtime import BackgroundTasks, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What the composition root brings; an application ends none of it."""

    database: Database
    function_runner: FunctionRunner
    file_storage: FileStorage
    export_storage: FileStorage
    import_storage: FileStorage
    user_storage: FileStorage
    key_broker: KeyBroker
    canonical_urls: CanonicalUrls
    runtime: Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Runners:
    """One for each kind of function; `executions` gives all of them ids and a place in the log."""

    executions: Executions
    queries: QueryRunner
    mutations: MutationRunner
    actions: ActionRunner
    system_queries: SystemQueryRunner
    inline_queries: InlineQueries


@dataclass(frozen=True, slots=True, kw_only=True)
class Executors:
    """What runs functions when their time comes."""

    jobs: JobExecutor
    crons: CronExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class PushServices:
    """What changes the code that runs, and its environment."""

    environment: EnvironmentService
    deploy: DeployService


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotServices:
    """Exports and imports: what callers ask, and the workers that do it."""

    exports: ExportService
    imports: ImportService
    streaming_exports: StreamingExports
    data_sync: DataSync
    listed: ListedSnapshots
    export_worker: ExportWorker
    import_worker: ImportWorker


def build_runners(
    base: Foundation,
    executions: Executions,
    files: StoredFiles,
    metrics: ApplicationMetrics,
    tasks: BackgroundTasks,
) -> Runners:
    """`tasks` owns what the query cache runs for several callers at once."""
    database, runtime, function_runner = base.database, base.runtime, base.function_runner
    services = TransactionServices(
        key_broker=base.key_broker,
        token_signer=base.key_broker.token_signer(issuer=base.canonical_urls.convex_cloud_url),
        stored_files=files,
        runtime=runtime,
    )
    queries = QueryRunner(
        database=database,
        function_runner=function_runner,
        cache=QueryCache(database, runtime),
        executions=executions,
        key_broker=base.key_broker,
        services=services,
        runtime=runtime,
    )
    mutations = MutationRunner(
        database=database,
        function_runner=function_runner,
        executions=executions,
        services=services,
        metrics=metrics,
        runtime=runtime,
    )
    actions = ActionRunner(
        database=database,
        function_runner=function_runner,
        queries=queries,
        mutations=mutations,
        executions=executions,
        services=services,
        files=files,
        runtime=runtime,
    )
    system_queries = SystemQueryRunner(
        database=database,
        services=services,
        canonical_urls=base.canonical_urls,
        runtime=runtime,
    )
    return Runners(
        executions=executions,
        queries=queries,
        mutations=mutations,
        actions=actions,
        system_queries=system_queries,
        inline_queries=InlineQueries(
            database=database,
            function_runner=function_runner,
            executions=executions,
            services=services,
        ),
    )


def build_stored_files(base: Foundation, usage: UsageTracker) -> StoredFiles:
    return StoredFiles(
        database=base.database,
        storage=base.user_storage,
        key_broker=base.key_broker,
        cloud_url=base.canonical_urls.convex_cloud_url,
        usage=usage,
        runtime=base.runtime,
    )


def build_executors(
    base: Foundation, runners: Runners, metrics: ApplicationMetrics, tasks: BackgroundTasks
) -> Executors:
    """`tasks` owns the functions while they run."""
    parts = ExecutorParts(
        database=base.database,
        function_runner=base.function_runner,
        mutations=runners.mutations,
        actions=runners.actions,
        executions=runners.executions,
        metrics=metrics,
        runtime=base.runtime,
        tasks=tasks,
    )
    return Executors(jobs=JobExecutor(parts), crons=CronExecutor(parts))


def build_push_services(base: Foundation) -> PushServices:
    auth_configs = AuthConfigEvaluator(
        function_runner=base.function_runner,
        file_storage=base.file_storage,
        canonical_urls=base.canonical_urls,
    )
    environment = EnvironmentService(
        database=base.database,
        function_runner=base.function_runner,
        auth_configs=auth_configs,
        canonical_urls=base.canonical_urls,
        runtime=base.runtime,
    )
    deploy = DeployService(
        database=base.database,
        function_runner=base.function_runner,
        file_storage=base.file_storage,
        auth_configs=auth_configs,
        canonical_urls=base.canonical_urls,
        runtime=base.runtime,
    )
    return PushServices(environment=environment, deploy=deploy)


def build_snapshot_services(base: Foundation, files: StoredFiles) -> SnapshotServices:
    database, runtime = base.database, base.runtime
    uploads = ImportUploads(storage=base.import_storage, runtime=runtime)
    listed = ListedSnapshots(database=database, runtime=runtime)
    return SnapshotServices(
        exports=ExportService(database=database, storage=base.export_storage, runtime=runtime),
        imports=ImportService(database=database, uploads=uploads, runtime=runtime),
        streaming_exports=StreamingExports(database=database, runtime=runtime, listed=listed),
        data_sync=DataSync(database=database, runtime=runtime),
        listed=listed,
        export_worker=ExportWorker(
            database=database,
            storage=base.export_storage,
            user_storage=base.user_storage,
            runtime=runtime,
        ),
        import_worker=ImportWorker(
            database=database,
            storage=base.import_storage,
            uploads=uploads,
            files=files,
            runtime=runtime,
        ),
    )
