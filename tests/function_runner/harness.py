"""A deployed app on a real database and real workers: what `InProcessFunctionRunner` needs around
it.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fenchel.auth.identity import Anonymous, Identity
from fenchel.database import Database, Transaction
from fenchel.definitions import FunctionPath, decode_function_path, encode_analyzed_module
from fenchel.errors import ConflictError, ErrorKind, FenchelError, bad_request
from fenchel.file_storage import MemoryFileStorage
from fenchel.function_runner import (
    CodeSource,
    FunctionRunnerMetrics,
    InProcessFunctionRunner,
)
from fenchel.isolate import (
    BundleInputs,
    Bundler,
    Deployment,
    IsolateMetrics,
    ModuleSource,
    WorkerPool,
)
from fenchel.isolate.spawn import BUNDLED_FOLDER
from fenchel.model.environment_variables import set_environment_variable
from fenchel.model.modules import Module, hash_module, replace_modules
from fenchel.model.source_packages import (
    PackagedModule,
    describe_source_package,
    encode_source_package,
    replace_source_package,
)
from fenchel.model.udf_config import UdfConfig, set_udf_config
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from fenchel.udf import (
    ExecutionContext,
    FileAccess,
    FileSource,
    FunctionResult,
    JsError,
    LogLine,
    QueryJournal,
    UdfOutcome,
    UdfRequest,
    UdfType,
)

_Result = TypeVar("_Result")

APP = Path(__file__).parent / "app"
NODE_MODULES = Path(__file__).parents[2] / "js" / "node_modules"
UNIX_MS = 1_750_000_000_000


def harmless_app() -> tuple[ModuleSource, ...]:
    """The app of this folder without what would end the process that rehearses a snapshot."""
    return tuple(module for module in bundled_app() if module.path != "killers.js")


@functools.cache
def bundled_app(app: Path = APP) -> tuple[ModuleSource, ...]:
    """The modules of a folder as the CLI would push them: ES modules with shared chunks and source
    maps.
    """
    entries = sorted(path.name for path in app.glob("*.ts") if path.stem != "functions")
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(app, Path(name) / "convex")
        # Beside the app as in a real project: a source map names no path of this machine.
        (Path(name) / "node_modules").symlink_to(NODE_MODULES)
        folder = str(Path(name) / "out")
        command = [
            str(BUNDLED_FOLDER / "esbuild"),
            *entries,
            *("--bundle", "--format=esm", "--splitting", "--sourcemap=external", "--target=esnext"),
            *("--sources-content=false", "--chunk-names=_deps/[hash]", "--log-level=error"),
            *("--preserve-symlinks", f"--outdir={folder}"),
        ]
        subprocess.run(command, check=True, timeout=60, cwd=Path(name) / "convex")
        return tuple(
            ModuleSource(
                path=str(path.relative_to(folder)),
                source=path.read_text(),
                source_map=path.with_name(f"{path.name}.map").read_text(),
            )
            for path in sorted(Path(folder).rglob("*.js"))
        )


class PlainHost:
    """A `TransactionHost` that remembers jobs and seals nothing."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, str, float]] = []

    async def schedule(
        self,
        parent: UdfRequest,
        transaction: Transaction,
        path: FunctionPath,
        args_json: str,
        unix_seconds: float,
    ) -> str:
        transaction.usage.record_scheduled(len(args_json))
        self.jobs.append((path.canonical, args_json, unix_seconds))
        return f"job{len(self.jobs)}"

    async def cancel_job(self, parent: UdfRequest, transaction: Transaction, job_id: str) -> None:
        raise bad_request("InvalidScheduledFunctionId", f"no job {job_id}")

    def files(self, transaction: Transaction, component: str) -> FileAccess:
        raise AssertionError("the test app keeps no files")

    def sign_token(self, request: UdfRequest, claims: Mapping[str, Any], seconds: float) -> str:
        raise AssertionError("the test app signs no tokens")

    def seal_cursor(self, plain: bytes) -> str:
        return plain.hex()

    def open_cursor(self, text: str) -> bytes:
        try:
            return bytes.fromhex(text)
        except ValueError as error:
            raise bad_request("InvalidCursor", "Failed to parse cursor") from error


@dataclass
class App:
    """A running deployment with the verbs that tests need."""

    database: Database
    runner: InProcessFunctionRunner
    pool: WorkerPool
    files: MemoryFileStorage
    runtime: Runtime
    metrics: FunctionRunnerMetrics
    host: PlainHost = field(default_factory=PlainHost)
    execution_count: int = 0

    def request(
        self,
        udf_type: UdfType,
        path: str,
        args: dict[str, Any] | None = None,
        *,
        identity: Identity | None = None,
        journal: str | None = None,
        log: list[LogLine] | None = None,
    ) -> UdfRequest:
        self.execution_count += 1
        return UdfRequest(
            path=decode_function_path(path),
            udf_type=udf_type,
            args_json=f"[{msgspec.json.encode(args or {}).decode()}]",
            identity=identity or Anonymous(),
            context=ExecutionContext(
                request_id=f"{self.execution_count:016x}", execution_id=f"e{self.execution_count}"
            ),
            seed=self.execution_count.to_bytes(32, "little"),
            unix_ms=UNIX_MS,
            journal=QueryJournal(end_cursor=journal),
            on_log_line=None if log is None else log.append,
        )

    async def query(self, path: str, args: dict[str, Any] | None = None, **rest: Any) -> UdfOutcome:
        request = self.request(UdfType.QUERY, path, args, **rest)
        return await self.runner.run_udf(request, self.database.begin(), self.host)

    async def mutation(
        self, path: str, args: dict[str, Any] | None = None, **rest: Any
    ) -> UdfOutcome:
        """Runs and, if the function succeeded, commits; a conflict runs it again."""
        for _ in range(20):
            request = self.request(UdfType.MUTATION, path, args, **rest)
            transaction = self.database.begin()
            outcome = await self.runner.run_udf(request, transaction, self.host)
            if isinstance(outcome.result, JsError):
                return outcome
            with suppress(ConflictError):
                await self.database.commit(transaction)
                return outcome
        raise AssertionError("too many conflicts")

    async def action(
        self, path: str, args: dict[str, Any] | None = None, **rest: Any
    ) -> UdfOutcome:
        request = self.request(UdfType.ACTION, path, args, **rest)
        return await self.runner.run_action(request, AppCallbacks(self))

    async def set_variable(self, name: str, value: str) -> None:
        transaction = self.database.begin()
        await set_environment_variable(transaction, name, value)
        await self.database.commit(transaction)


class AppCallbacks:
    """`ActionCallbacks` of the test app: each call its own transaction."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def run_query(self, request: UdfRequest, path: FunctionPath, args_json: str) -> str:
        args = msgspec.json.decode(args_json)
        return self._unwrap(await self._app.query(path.canonical, args))

    async def run_mutation(self, request: UdfRequest, path: FunctionPath, args_json: str) -> str:
        args = msgspec.json.decode(args_json)
        return self._unwrap(await self._app.mutation(path.canonical, args))

    async def run_action(self, request: UdfRequest, path: FunctionPath, args_json: str) -> str:
        args = msgspec.json.decode(args_json)
        return self._unwrap(await self._app.action(path.canonical, args))

    async def schedule(
        self, request: UdfRequest, path: FunctionPath, args_json: str, unix_seconds: float
    ) -> str:
        raise RuntimeError("the test's scheduler is broken")

    async def cancel_job(self, request: UdfRequest, job_id: str) -> None:
        raise bad_request("InvalidScheduledFunctionId", f"no job {job_id}")

    async def with_files(
        self, request: UdfRequest, work: Callable[[FileAccess], Awaitable[_Result]]
    ) -> _Result:
        raise AssertionError("the test app keeps no files")

    async def store_file(
        self,
        request: UdfRequest,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None,
        sha256: bytes | None,
    ) -> str:
        raise AssertionError("the test app keeps no files")

    async def open_file(
        self, request: UdfRequest, storage_id: str, start: int, length: int
    ) -> FileSource:
        raise AssertionError("the test app keeps no files")

    def _unwrap(self, outcome: UdfOutcome) -> str:
        if isinstance(outcome.result, FunctionResult):
            return outcome.result.value_json
        raise FenchelError(
            ErrorKind.BAD_REQUEST,
            "Callee",
            outcome.result.pretty,
            data_json=outcome.result.data_json,
        )


async def deploy(app: App, modules: tuple[ModuleSource, ...]) -> None:
    """Analyse and store modules in the way of a push."""
    inputs = BundleInputs(
        modules=modules,
        environment_variables={},
        import_seed=bytes(32),
        import_unix_ms=UNIX_MS,
    )
    analyzed = await app.runner.analyze(inputs)
    assert not isinstance(analyzed, JsError), analyzed
    content = encode_source_package(
        [PackagedModule(path=m.path, source=m.source, source_map=m.source_map) for m in modules]
    )
    await app.files.store(content)
    transaction = app.database.begin()
    package = describe_source_package(content, node_version=None)
    package_id = await replace_source_package(transaction, package)
    rows = [
        Module(
            path=module.path,
            source_package_id=package_id,
            environment=module.environment,
            sha256=hash_module(module.source, module.source_map),
            analyze_result=(
                encode_analyzed_module(analyzed[module.path]) if module.path in analyzed else None
            ),
        )
        for module in modules
    ]
    await replace_modules(transaction, rows)
    config = UdfConfig(
        server_version="1.48.0",
        import_phase_rng_seed=bytes(32),
        import_phase_unix_timestamp=UNIX_MS * 1_000_000,
    )
    await set_udf_config(transaction, config)
    await app.database.commit(transaction)


@asynccontextmanager
async def running_app(
    runtime: Runtime | None = None, modules: tuple[ModuleSource, ...] | None = None
) -> AsyncIterator[App]:
    """A deployment with the harmless app of this folder, or with `modules`."""
    runtime = runtime or Runtime()
    database = await Database.open(MemoryPersistence(), runtime)
    files = MemoryFileStorage()
    metrics = FunctionRunnerMetrics()
    pool = WorkerPool(
        runtime,
        deployment=Deployment(name="test-deployment"),
        metrics=IsolateMetrics(metrics.registry),
    )
    runner = InProcessFunctionRunner(
        database=database,
        pool=pool,
        bundler=Bundler(),
        code_source=CodeSource(
            files, system_environment={"CONVEX_CLOUD_URL": "http://127.0.0.1:3210"}
        ),
        runtime=runtime,
        metrics=metrics,
    )
    app = App(
        database=database,
        runner=runner,
        pool=pool,
        files=files,
        runtime=runtime,
        metrics=metrics,
    )
    await runner.start()
    try:
        await deploy(app, modules or harmless_app())
        yield app
    finally:
        await runner.close()
        await database.close()
