"""Running queries whose source comes with the call (deploy-protocol 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application.executions import Executions, Invocation
from fenchel.application.scheduling import TransactionServices
from fenchel.database import Database
from fenchel.errors import bad_request
from fenchel.function_runner import FunctionRunner
from fenchel.isolate import ModuleSource
from fenchel.model import list_components
from fenchel.udf import UdfOutcome, UdfType


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineQueries:
    """Neither cached nor deployed; each run is in the function log."""

    database: Database
    function_runner: FunctionRunner
    executions: Executions
    services: TransactionServices

    async def run(self, invocation: Invocation, source: str) -> UdfOutcome:
        """The outcome of the source's default export, named by the invocation's path.

        Raises: InvalidInlineQuery; FenchelError for failures of the system.
        """
        transaction = self.database.begin()
        request = self.executions.begin(invocation, UdfType.QUERY)
        outcome = await self.function_runner.run_inline_query(
            ModuleSource(path=invocation.path.module, source=source),
            request,
            transaction,
            self.services,
        )
        assert transaction.is_read_only, "an inline query wrote something"
        self.executions.record_outcome(invocation, request, outcome, transaction=transaction)
        return outcome

    async def find_component(self, component_id: str) -> str:
        """The component's path. Raises: ComponentNotFound."""
        for stored in await list_components(self.database.begin()):
            if stored.id_text == component_id and stored.row.is_active:
                return stored.row.path
        raise bad_request("ComponentNotFound", f"There is no component with id {component_id!r}.")
