"""Running the native system queries for admins."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.application.executions import Invocation
from fenchel.application.query_cache import CachedQuery
from fenchel.application.scheduling import TransactionServices
from fenchel.application.system_functions import SYSTEM_QUERIES, SystemCall
from fenchel.database import Database, Transaction
from fenchel.documents import Timestamp
from fenchel.errors import FenchelError, bad_request
from fenchel.function_runner import AllowedVisibility
from fenchel.model import get_component
from fenchel.runtime import Runtime
from fenchel.udf import FunctionResult, JsError, UdfOutcome
from fenchel.values import Value, decode_json, encode_json


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemQueryRunner:
    """They are not cached and leave no trace in the function log."""

    database: Database
    services: TransactionServices
    canonical_urls: CanonicalUrls
    runtime: Runtime

    async def run(self, invocation: Invocation, ts: Timestamp) -> CachedQuery:
        """The outcome at `ts`; a developer error is an outcome, as in user code."""
        transaction = self.database.begin(ts=ts)
        try:
            value = await self._call(invocation, transaction)
            outcome = UdfOutcome(result=FunctionResult(encode_json(value)))
        except FenchelError as error:
            if not error.is_developer_error:
                raise
            result = JsError(message=error.message, data_json=error.data_json)
            outcome = UdfOutcome(result=result)
        return CachedQuery(
            outcome=outcome,
            original_ts=ts,
            token=self.database.token(transaction),
            created_seconds=self.runtime.clock.monotonic(),
        )

    async def _call(self, invocation: Invocation, transaction: Transaction) -> Value:
        query = SYSTEM_QUERIES.get(invocation.path.canonical)
        if query is None or invocation.visibility is not AllowedVisibility.ALL:
            raise bad_request(
                "FunctionNotFound",
                f"Could not find public function for '{invocation.path.stripped}'.",
            )
        component = invocation.path.component
        if component and await get_component(transaction, component) is None:
            raise bad_request(
                "ComponentPathNotFound",
                f"Component {component!r} not found. `convex run _system/frontend/components:list` "
                "lists them.",
            )
        args = decode_json(invocation.args_json)
        match args:
            case [dict() as fields]:
                pass
            case _:
                raise bad_request(
                    "InvalidArguments", f"{invocation.path.stripped} takes one object of arguments."
                )
        call = SystemCall(
            transaction=transaction,
            component=component,
            args=fields,
            services=self.services,
            canonical_urls=self.canonical_urls,
            randomness=self.runtime.randomness,
        )
        return await query(call)
