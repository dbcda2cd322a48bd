"""The HTTP edge over real sockets, above an application that only remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from prometheus_client import CollectorRegistry

from fenchel.application import (
    ActionRun,
    Application,
    CanonicalUrls,
    ClientResult,
    ConfigHashes,
    EnvironmentChange,
    FinishPushRequest,
    FinishPushResponse,
    FunctionCall,
    FunctionLogPage,
    HttpActionCall,
    HttpActionError,
    MutationRun,
    QueryRun,
    SchemaStatus,
    StartPushRequest,
    WaitForSchemaRequest,
)
from fenchel.auth import KeyBroker, TokenVerifier, UserIdentity
from fenchel.database import ReadSet, Token
from fenchel.documents import Timestamp
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.runtime import Runtime
from fenchel.server.app import ApiApplication
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.deploy_routes import DeployHandlers
from fenchel.server.environment_routes import EnvironmentHandlers
from fenchel.server.function_routes import FunctionHandlers
from fenchel.server.http_actions import HttpActions
from fenchel.server.listeners import Listener, bind
from fenchel.server.log_routes import LogHandlers
from fenchel.server.metrics_routes import MetricsHandlers
from fenchel.server.probe_routes import ProbeHandlers
from fenchel.server.routing import Router, Routes
from fenchel.server.shutdown import Shutdown
from fenchel.server.sync_socket import SyncSockets
from fenchel.sync import FunctionBackend
from fenchel.udf import LogLevel, LogLine

BROKER = KeyBroker("test-instance", bytes(range(32)))
ADMIN_KEY = BROKER.issue_admin_key()
ADMIN = {"Authorization": f"Convex {ADMIN_KEY}"}
READER = {"Authorization": f"Convex {BROKER.issue_admin_key(is_read_only=True)}"}
LATEST_TS = Timestamp(1_000)

SUCCESS = ClientResult(
    is_success=True,
    value_json='{"big":{"$integer":"BQAAAAAAAAA="},"n":17}',
    log_lines=(LogLine(level=LogLevel.LOG, messages=("'x'",), timestamp_ms=1.0),),
)


class FakeVerifier:
    async def verify(self, text: str, now_ns: int) -> UserIdentity:
        if text != "good":
            raise FenchelError(ErrorKind.UNAUTHENTICATED, "InvalidAuthHeader", "bad token")
        attributes = {"issuer": "https://i", "subject": "s", "tokenIdentifier": "https://i|s"}
        return UserIdentity(attributes=attributes, expires_ns=None)


class FakeApplication:
    """`result` answers every call; `before` runs first and may wait or fail. `repeat` goes with
    the results of queries.
    """

    def __init__(self) -> None:
        self.result = SUCCESS
        self.repeat: Callable[[], bool] | None = None
        self.calls: list[tuple[str, FunctionCall]] = []
        self.timestamps: list[Timestamp | None] = []
        self.before: Callable[[], Awaitable[None]] = _nothing
        self.http_action: Callable[[HttpActionCall], Awaitable[HttpActionError | None]] = _no_router
        self.deploy = FakeDeploy()
        self.environment = FakeEnvironment()
        self.function_log = FakeLog()

    def latest_ts(self) -> Timestamp:
        return LATEST_TS

    async def run_query(
        self, call: FunctionCall, *, ts: Timestamp | None = None, journal: str | None = None
    ) -> QueryRun:
        await self._take("query", call)
        self.timestamps.append(ts)
        token = Token(reads=ReadSet(), ts=LATEST_TS)
        return QueryRun(
            result=self.result,
            ts=LATEST_TS,
            token=token,
            journal=None,
            read_fingerprint=bytes,
            is_identity_free=True,
            repeat=self.repeat,
        )

    async def run_mutation(
        self, call: FunctionCall, *, session: Any = None, on_commit: Any = None
    ) -> MutationRun:
        await self._take("mutation", call)
        return MutationRun(result=self.result, ts=LATEST_TS)

    async def run_action(self, call: FunctionCall) -> ActionRun:
        await self._take("action", call)
        return ActionRun(result=self.result)

    async def run_function(self, call: FunctionCall) -> ActionRun:
        await self._take("function", call)
        return ActionRun(result=self.result)

    async def run_http_action(self, call: HttpActionCall) -> HttpActionError | None:
        return await self.http_action(call)

    async def _take(self, kind: str, call: FunctionCall) -> None:
        self.calls.append((kind, call))
        await self.before()

    @property
    def last_call(self) -> FunctionCall:
        return self.calls[-1][1]


class FakeDeploy:
    def __init__(self) -> None:
        self.requests: list[Any] = []

    async def config_hashes(self) -> ConfigHashes:
        return ConfigHashes(
            config={"functions": "convex/"}, module_hashes=(), udf_server_version=None
        )

    async def start_push(self, request: StartPushRequest) -> Any:
        self.requests.append(request)
        if request.dry_run:
            raise bad_request("InvalidModules", "Hit an error while pushing:\nno")
        return {"pushToken": "t"}

    async def wait_for_schema(self, request: WaitForSchemaRequest) -> SchemaStatus:
        await asyncio.Event().wait()
        raise AssertionError

    async def finish_push(self, request: FinishPushRequest) -> FinishPushResponse:
        self.requests.append(request)
        return FinishPushResponse(auth_diff={}, definition_diffs={}, component_diffs={})

    async def evaluate_push(self, request: StartPushRequest) -> Any:
        return {"schemaChange": {}}

    async def evaluate_schema(self, request: StartPushRequest) -> Any:
        return {"componentSchemaEvaluations": {}, "newComponentDefinitions": []}

    def canonical_urls(self) -> CanonicalUrls:
        return CanonicalUrls(convex_cloud_url="http://c", convex_site_url="http://s")


class FakeEnvironment:
    def __init__(self) -> None:
        self.changes: list[EnvironmentChange] = []

    async def update(self, changes: Sequence[EnvironmentChange]) -> None:
        self.changes.extend(changes)


class FakeLog:
    def __init__(self) -> None:
        self.asked: list[tuple[float, bool]] = []
        self.is_waiting = asyncio.Event()

    async def stream(self, cursor_ms: float, *, is_structured: bool) -> FunctionLogPage:
        self.asked.append((cursor_ms, is_structured))
        if cursor_ms < 0:
            self.is_waiting.set()
            await asyncio.Event().wait()
        return FunctionLogPage(entries=(), new_cursor=7.5)


async def _no_router(call: HttpActionCall) -> HttpActionError | None:
    raise FenchelError(ErrorKind.NOT_FOUND, "HttpActionsNotEnabled", "no HTTP actions")


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A listening edge, a session that talks to it, and its parts."""

    application: FakeApplication
    api: ApiApplication
    sync_sockets: SyncSockets
    shutdown: Shutdown
    session: aiohttp.ClientSession
    url: str

    async def post(self, path: str, **options: Any) -> tuple[int, Any]:
        async with self.session.post(self.url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str, **options: Any) -> tuple[int, str]:
        async with self.session.get(self.url + path, **options) as response:
            return response.status, await response.text()


@asynccontextmanager
async def open_edge(
    *,
    runtime: Runtime | None = None,
    backend: FunctionBackend | None = None,
    more_routes: Callable[[RequestAuthenticator], Sequence[Routes]] = lambda _: (),
) -> AsyncIterator[Edge]:
    runtime = runtime or Runtime()
    application = FakeApplication()
    authenticator = RequestAuthenticator(
        key_broker=BROKER,
        token_verifier=cast(TokenVerifier, FakeVerifier()),
        runtime=runtime,
    )
    shutdown = Shutdown()
    sync_sockets = SyncSockets(
        backend=backend or cast(FunctionBackend, application),
        authenticator=authenticator,
        runtime=runtime,
    )
    router = Router(
        *_routes(cast(Application, application), authenticator, shutdown, runtime),
        *more_routes(authenticator),
    )
    api = ApiApplication(
        router=router,
        http_actions=HttpActions(
            application=cast(Application, application),
            authenticator=authenticator,
            settings=runtime.settings.server,
        ),
        sync_sockets=sync_sockets,
        runtime=runtime,
    )
    listener = Listener(
        bind("127.0.0.1", 0, option="--port"), api, runtime.settings.sync, answers=api.answers
    )
    await listener.start()
    async with aiohttp.ClientSession() as session:
        try:
            yield Edge(
                application=application,
                api=api,
                sync_sockets=sync_sockets,
                shutdown=shutdown,
                session=session,
                url=f"http://127.0.0.1:{listener.port}",
            )
        finally:
            shutdown.begin()
            await sync_sockets.drain(seconds_max=30)
            await listener.close()


def _routes(
    application: Application,
    authenticator: RequestAuthenticator,
    shutdown: Shutdown,
    runtime: Runtime,
) -> list[Routes]:
    bytes_max = runtime.settings.server.function_body_bytes_max
    return [
        FunctionHandlers(
            application=application, authenticator=authenticator, body_bytes_max=bytes_max
        ).routes,
        DeployHandlers(
            deploy=application.deploy,
            authenticator=authenticator,
            shutdown=shutdown,
            body_bytes_max=runtime.settings.server.push_body_bytes_max,
        ).routes,
        EnvironmentHandlers(
            environment=application.environment,
            authenticator=authenticator,
            body_bytes_max=bytes_max,
        ).routes,
        LogHandlers(
            function_log=application.function_log, authenticator=authenticator, shutdown=shutdown
        ).routes,
        ProbeHandlers(instance_name="test-instance", authenticator=authenticator).routes,
        MetricsHandlers(CollectorRegistry()).routes,
    ]
