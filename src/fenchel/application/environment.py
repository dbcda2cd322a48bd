"""Changing the environment variables of a deployment (deploy-protocol 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fenchel.application.auth_config_evaluation import AuthConfigEvaluator
from fenchel.application.deploy_messages import CanonicalUrls, EnvironmentChange
from fenchel.application.deployed_code import name_deployed_code
from fenchel.application.transactions import run_transaction
from fenchel.database import Database, Transaction
from fenchel.function_runner import FunctionRunner
from fenchel.model import (
    check_environment_variables,
    check_name,
    check_value,
    list_environment_variables,
    record_audit_entry,
    replace_auth_providers,
    set_environment_variable,
)
from fenchel.runtime import Runtime
from fenchel.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentService:
    """Deployed code sees a change at once: every execution depends on the variables it was built
    with.
    """

    database: Database
    function_runner: FunctionRunner
    auth_configs: AuthConfigEvaluator
    canonical_urls: CanonicalUrls
    runtime: Runtime

    async def update(self, changes: Sequence[EnvironmentChange]) -> None:
        """Apply all changes or none.

        The stored auth config is evaluated again; if that fails, so does the change. Raises
        FenchelError (400) with the codes of deploy-protocol 3.3 and 2.14.
        """
        for change in changes:
            check_name(change.name)
            if change.value is not None:
                check_value(change.name, change.value)

        async def work(tx: Transaction) -> None:
            await self._apply(tx, changes)

        await run_transaction(
            self.database, self.runtime, work, write_source="_system/environment_variables"
        )

    async def _apply(self, tx: Transaction, changes: Sequence[EnvironmentChange]) -> None:
        for change in changes:
            await set_environment_variable(tx, change.name, change.value)
        variables = await list_environment_variables(tx)
        check_environment_variables(variables)
        providers = await self.auth_configs.evaluate_deployed(tx, variables)
        if providers is not None:
            await replace_auth_providers(tx, providers)
        for code in await name_deployed_code(tx, variables, self.canonical_urls):
            # Built before the switch, as in a push: the queries that run again find it ready.
            await self.function_runner.warm(code)
        names: list[Value] = [change.name for change in changes]
        await record_audit_entry(tx, "update_environment_variables", {"names": names})
