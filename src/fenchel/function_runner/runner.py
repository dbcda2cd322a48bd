"""The seam "run this function at this snapshot": a request goes in, an outcome comes out, nothing
commits inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

from fenchel.database import Namespace, Transaction
from fenchel.definitions import AnalyzedFunction, AnalyzedModule, FunctionPath
from fenchel.function_runner.code_source import DeployedCode
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.udf import ActionCallbacks, FileAccess, HttpExchange, JsError, UdfOutcome, UdfRequest


class AllowedVisibility(Enum):
    """PUBLIC_ONLY for clients; ALL for schedulers, crons, callbacks of actions and admins
    (execution 1.6).
    """

    PUBLIC_ONLY = "PublicOnly"
    ALL = "All"


class TransactionHost(Protocol):
    """What a query or mutation needs from the application: jobs, files and sealed cursors.

    Developer errors are FenchelError of a developer kind; user code may catch them.
    """

    async def schedule(
        self,
        parent: UdfRequest,
        transaction: Transaction,
        path: FunctionPath,
        args_json: str,
        unix_seconds: float,
    ) -> str: ...

    async def cancel_job(
        self, parent: UdfRequest, transaction: Transaction, job_id: str
    ) -> None: ...

    def files(self, transaction: Transaction, component: Namespace) -> FileAccess: ...

    def sign_token(self, request: UdfRequest, claims: Mapping[str, Any], seconds: float) -> str: ...

    def seal_cursor(self, plain: bytes) -> str: ...

    def open_cursor(self, text: str) -> bytes: ...


class FunctionRunner(Protocol):
    """Runs functions and push-time evaluations. A developer error is a JsError in the outcome;
    FenchelError means that the system failed (overload, worker lost)."""

    async def run_udf(
        self,
        request: UdfRequest,
        transaction: Transaction,
        host: TransactionHost,
        *,
        visibility: AllowedVisibility = AllowedVisibility.PUBLIC_ONLY,
    ) -> UdfOutcome:
        """A query or mutation, validated before and after (execution 1.6). Reads and writes stay in
        the transaction; the caller commits it, or drops it if the result is an error.
        `request.args_json` may be an object or an array of one object."""
        ...

    async def run_action(
        self,
        request: UdfRequest,
        callbacks: ActionCallbacks,
        *,
        visibility: AllowedVisibility = AllowedVisibility.PUBLIC_ONLY,
    ) -> UdfOutcome:
        """An action of the default runtime, with the code of the latest snapshot."""
        ...

    async def run_http_action(
        self, request: UdfRequest, exchange: HttpExchange, callbacks: ActionCallbacks
    ) -> UdfOutcome:
        """The app's router answers one HTTP request; the body of the response is sent when this
        returns. Raises: NOT_FOUND HttpActionsNotEnabled, NoMatchingRoutes."""
        ...

    async def run_inline_query(
        self,
        module: ModuleSource,
        request: UdfRequest,
        transaction: Transaction,
        host: TransactionHost,
    ) -> UdfOutcome:
        """The default export of a module that is not deployed, as a query of the request's
        component. Raises: InvalidInlineQuery if it does not compile.
        """
        ...

    async def find_function(
        self, transaction: Transaction, path: FunctionPath
    ) -> AnalyzedFunction | None:
        """The analysis of a deployed function, whatever its visibility; records the read."""
        ...

    async def warm(self, code: DeployedCode) -> None:
        """Build `code` before it is deployed, so that its first call is as fast as the next."""
        ...

    async def renew_lookups(self) -> None:
        """After a push: look up the functions that were called last, before their next callers do.
        Raises: FenchelError if the database has stopped.
        """
        ...

    async def analyze(self, inputs: BundleInputs) -> dict[str, AnalyzedModule] | JsError:
        """Functions, routes and crons by module path (execution 1.7). Raises: InvalidModules if
        bundling fails.
        """
        ...

    async def evaluate_schema(self, schema: ModuleSource) -> str | JsError:
        """JSON text of the exported schema."""
        ...

    async def evaluate_auth_config(self, inputs: BundleInputs) -> str | JsError:
        """JSON text of the auth config; `inputs.modules` is the one module `auth.config.js`."""
        ...

    async def evaluate_app_definition(self, inputs: BundleInputs) -> str | JsError:
        """JSON text of the app definition; `inputs.modules` is the one module
        `convex.config.js`.
        """
        ...

    async def close(self) -> None: ...
