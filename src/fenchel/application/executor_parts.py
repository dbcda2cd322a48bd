"""What running functions at their time takes, the same for scheduled functions and crons."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application.action_runner import ActionRunner
from fenchel.application.executions import Executions
from fenchel.application.metrics import ApplicationMetrics
from fenchel.application.mutation_runner import MutationRunner
from fenchel.application.transactions import wait_after_conflict
from fenchel.database import Database
from fenchel.errors import ConflictError
from fenchel.function_runner import FunctionRunner
from fenchel.runtime import BackgroundTasks, Runtime

_OCC_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorParts:
    """`tasks` owns the functions while they run."""

    database: Database
    function_runner: FunctionRunner
    mutations: MutationRunner
    actions: ActionRunner
    executions: Executions
    metrics: ApplicationMetrics
    runtime: Runtime
    tasks: BackgroundTasks

    async def wait_after_conflict(self, conflict: ConflictError, attempt: int) -> None:
        """As of any transaction, but longer each time: these are tried for ever."""
        await wait_after_conflict(
            self.database, self.runtime, conflict, attempt, seconds_max=_OCC_SECONDS_MAX
        )
