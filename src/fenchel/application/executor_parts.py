"""What running functions at their time takes, the same for scheduled functions and crons."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application.action_runner import ActionRunner
from fenchel.application.executions import Executions
from fenchel.application.mutation_runner import MutationRunner
from fenchel.database import Database
from fenchel.function_runner import FunctionRunner
from fenchel.runtime import BackgroundTasks, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorParts:
    """`tasks` owns the functions while they run."""

    database: Database
    function_runner: FunctionRunner
    mutations: MutationRunner
    actions: ActionRunner
    executions: Executions
    runtime: Runtime
    tasks: BackgroundTasks
