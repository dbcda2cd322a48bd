"""Deploys: what the official CLI's push endpoints do (deploy-protocol, section 2)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fenchel.application.abandoned_pushes import roll_back_pushes
from fenchel.application.auth_config_evaluation import AuthConfigEvaluator
from fenchel.application.deploy_messages import (
    CanonicalUrls,
    ConfigHashes,
    EvaluatePushResponse,
    EvaluateSchemaResponse,
    FinishPushRequest,
    FinishPushResponse,
    ModuleHash,
    SchemaStatus,
    StartPushRequest,
    StartPushResponse,
    WaitForSchemaRequest,
)
from fenchel.application.deployed_code import name_deployed_code
from fenchel.application.evaluation_cache import EvaluationCache
from fenchel.application.push_checks import check_message
from fenchel.application.push_evaluation import PushEvaluator, prefix_error
from fenchel.application.push_finish import finish_push
from fenchel.application.push_responses import encode_schema_change, encode_start_push
from fenchel.application.push_state import EvaluatedPush, PendingPush, PendingPushes
from fenchel.application.schema_waiting import SchemaWaiter
from fenchel.application.source_package_storage import SourcePackageStorage
from fenchel.application.transactions import run_transaction
from fenchel.database import Database, IndexTables, SchemaTables, Transaction
from fenchel.errors import FenchelError, bad_request
from fenchel.file_storage import FileStorage
from fenchel.function_runner import FunctionRunner
from fenchel.model import (
    get_source_package,
    get_udf_config,
    list_environment_variables,
    list_modules,
)
from fenchel.runtime import Runtime

_log = logging.getLogger(__name__)

_FUNCTIONS_DIRECTORY = "convex/"
_SWEEP_SECONDS = 60.0


class DeployService:
    """The caller has checked that the request comes from an admin. All methods raise FenchelError.

    Nothing that running code can observe changes before `finish_push`.
    """

    def __init__(
        self,
        *,
        database: Database,
        function_runner: FunctionRunner,
        file_storage: FileStorage,
        auth_configs: AuthConfigEvaluator,
        canonical_urls: CanonicalUrls,
        runtime: Runtime,
    ) -> None:
        self._database = database
        self._function_runner = function_runner
        self._runtime = runtime
        self._canonical_urls = canonical_urls
        self._pushes = PendingPushes(runtime)
        # Held from a push's first write until its token is known, and while all are rolled back.
        self._preparing = asyncio.Lock()
        self._packages = SourcePackageStorage(
            database=database, file_storage=file_storage, clock=runtime.clock
        )
        self._waiter = SchemaWaiter(database=database, clock=runtime.clock)
        self._evaluator = PushEvaluator(
            database=database,
            evaluations=EvaluationCache(function_runner),
            packages=self._packages,
            auth_configs=auth_configs,
            canonical_urls=canonical_urls,
            runtime=runtime,
        )

    async def config_hashes(self) -> ConfigHashes:
        """The deployed modules, by which the CLI decides what it need not send (2.2)."""
        tx = self._database.begin()
        config = await get_udf_config(tx)
        package = await get_source_package(tx)
        node_version = None if package is None else package[1].node_version
        return ConfigHashes(
            config={"functions": _FUNCTIONS_DIRECTORY},
            module_hashes=tuple(
                ModuleHash(path=m.path, hash=m.sha256, environment=m.environment)
                for m in await list_modules(tx)
            ),
            udf_server_version=None if config is None else config.server_version,
            node_version=node_version,
        )

    async def start_push(self, request: StartPushRequest) -> StartPushResponse:
        """Evaluate a push; its schema becomes pending and its new indexes begin to fill (2.4 to
        2.7).
        """
        evaluated = await self._evaluate(request)
        is_trial = request.dry_run or request.for_codegen
        async with self._preparing:
            schema_ids = await self._submit_schemas(evaluated)
            index_diffs = await self._diff_indexes(evaluated, is_trial=is_trial)
            token = self._pushes.add(
                PendingPush(evaluated=evaluated, schema_ids=schema_ids, is_dry_run=request.dry_run)
            )
        return encode_start_push(
            evaluated,
            schema_change=encode_schema_change(schema_ids, index_diffs, token),
            push_token=token,
        )

    async def evaluate_push(self, request: StartPushRequest) -> EvaluatePushResponse:
        """What the push would change about indexes; nothing is written (2.8)."""
        evaluated = await self._evaluate(request)
        tx = self._database.begin()
        for instance in evaluated.app.walk():
            definition = evaluated.definition_of(instance)
            await SchemaTables(tx, instance.path).check_staged(definition.schema)
        index_diffs = await self._diff_indexes(evaluated, is_trial=True)
        schema_ids = dict.fromkeys(index_diffs)
        return EvaluatePushResponse(
            schema_change=encode_schema_change(schema_ids, index_diffs, None)
        )

    async def evaluate_schema(self, request: StartPushRequest) -> EvaluateSchemaResponse:
        """The accepted minimum: no cost estimates, so the CLI asks no questions (2.8)."""
        return EvaluateSchemaResponse(component_schema_evaluations={}, new_component_definitions=())

    async def wait_for_schema(self, request: WaitForSchemaRequest) -> SchemaStatus:
        """Whether finish_push may follow; waits for a change if not yet (2.9)."""
        push = self._pushes.get(_token(request.schema_change))
        return await self._waiter.wait(push, timeout_seconds=request.timeout_ms / 1_000)

    async def finish_push(self, request: FinishPushRequest) -> FinishPushResponse:
        """Switch to the pushed code in one transaction (2.10).

        The new code is built and loaded before, so that the first call after the switch is as fast
        as the second.
        """
        check_message(request.message)
        push = self._pushes.get(request.start_push.push_token)
        if request.dry_run or push.is_dry_run:
            return FinishPushResponse(
                auth_diff={"added": [], "removed": []}, definition_diffs={}, component_diffs={}
            )
        for definition in push.evaluated.definitions.values():
            await self._packages.store(definition.package_content)
        for code in push.evaluated.codes:
            await self._function_runner.warm(code)

        async def work(tx: Transaction) -> FinishPushResponse:
            now_ns = self._runtime.clock.now_ns()
            return await finish_push(tx, push, message=request.message, now_ns=now_ns)

        response = await run_transaction(
            self._database, self._runtime, work, write_source="_system/finish_push"
        )
        await self._function_runner.renew_lookups()
        self._pushes.remove(request.start_push.push_token)
        await self._packages.delete_unused()
        return response

    async def recover(self) -> None:
        """At start-up: forget what pushes left behind, since none is under way any more."""
        await self._roll_back()
        await self._packages.delete_unused(kept_seconds=0)

    async def run(self) -> None:
        """Forget abandoned pushes, for ever."""
        while True:
            await self._runtime.clock.sleep(_SWEEP_SECONDS)
            async with self._preparing:
                if self._pushes.remove_abandoned():
                    await self._roll_back()

    async def _roll_back(self) -> None:
        await run_transaction(
            self._database, self._runtime, roll_back_pushes, write_source="_system/abandoned_push"
        )

    async def warm_deployed(self) -> None:
        """Build the deployed code at start-up; the first call meets a failure again."""
        tx = self._database.begin()
        variables = await list_environment_variables(tx)
        for code in await name_deployed_code(tx, variables, self._canonical_urls):
            try:
                await self._function_runner.warm(code)
            except FenchelError as error:
                _log.warning(
                    "deployed code cannot be built package=%s", code.package_digest, exc_info=error
                )

    def canonical_urls(self) -> CanonicalUrls:
        """Where clients reach this deployment (2.12)."""
        return self._canonical_urls

    async def _evaluate(self, request: StartPushRequest) -> EvaluatedPush:
        try:
            return await self._evaluator.evaluate(request)
        except FenchelError as error:
            if not error.is_developer_error:
                raise
            raise prefix_error(error) from error

    async def _submit_schemas(self, push: EvaluatedPush) -> dict[str, str | None]:
        """Ids of the rows that finish_push makes active, by component path."""

        async def work(tx: Transaction) -> dict[str, str | None]:
            ids: dict[str, str | None] = {}
            for instance in push.app.walk():
                schema_json = push.definition_of(instance).schema_json
                ids[instance.path] = None
                if schema_json is not None:
                    schemas = SchemaTables(tx, instance.path)
                    ids[instance.path], _ = await schemas.submit(schema_json)
            return ids

        return await run_transaction(
            self._database, self._runtime, work, write_source="_system/start_push"
        )

    async def _diff_indexes(self, push: EvaluatedPush, *, is_trial: bool) -> dict[str, Any]:
        """Index changes in the CLI's form, by component path; new indexes are created unless this
        is a trial.
        """

        async def work(tx: Transaction) -> dict[str, Any]:
            diffs = {}
            for instance in push.app.walk():
                indexes = IndexTables(tx, instance.path)
                diff = await indexes.prepare(push.definition_of(instance).schema)
                diffs[instance.path] = diff.encode()
            return diffs

        if is_trial:
            return await work(self._database.begin())
        return await run_transaction(
            self._database, self._runtime, work, write_source="_system/start_push"
        )


def _token(schema_change: dict[str, Any]) -> str:
    token = schema_change.get("pushToken")
    if not isinstance(token, str):
        raise bad_request("UnknownPush", "The schema change names no push. Push again.")
    return token
