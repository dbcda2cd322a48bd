"""The one object that the outer rooms talk to: run functions, deploy, look at the log."""

from __future__ import annotations

from collections.abc import Callable

from fenchel.application.calls import (
    ActionRun,
    FunctionCall,
    MutationRun,
    QueryRun,
    SessionRequest,
)
from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.application.deploy_service import DeployService
from fenchel.application.environment import EnvironmentService
from fenchel.application.function_log import FunctionLog
from fenchel.auth.key_broker import KeyBroker
from fenchel.database import Database, Subscription, Token
from fenchel.documents import Timestamp
from fenchel.file_storage import FileStorage
from fenchel.function_runner import FunctionRunner
from fenchel.runtime import Runtime


class Application:
    """Start value: not running; `start` brings up scheduler and workers, `close` ends them."""

    deploy: DeployService
    environment: EnvironmentService
    function_log: FunctionLog

    def __init__(
        self,
        *,
        database: Database,
        function_runner: FunctionRunner,
        file_storage: FileStorage,
        key_broker: KeyBroker,
        canonical_urls: CanonicalUrls,
        runtime: Runtime,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def run_query(
        self, call: FunctionCall, *, ts: Timestamp | None = None, journal: str | None = None
    ) -> QueryRun:
        raise NotImplementedError

    async def run_mutation(
        self, call: FunctionCall, *, session: SessionRequest | None = None
    ) -> MutationRun:
        raise NotImplementedError

    async def run_action(self, call: FunctionCall) -> ActionRun:
        raise NotImplementedError

    async def run_function(self, call: FunctionCall) -> ActionRun:
        """Run a function of whichever type it is; the caller must be an admin (deploy-protocol
        3.2).
        """
        raise NotImplementedError

    def latest_ts(self) -> Timestamp:
        raise NotImplementedError

    def refresh(self, token: Token, ts: Timestamp) -> Token | None:
        raise NotImplementedError

    def subscribe(
        self, token: Token, on_invalidate: Callable[[Subscription], None]
    ) -> Subscription:
        raise NotImplementedError
