"""Running deployed functions: look-up, validation, module cache, nested calls, metrics."""

from fenchel.function_runner.code_source import CodeSource, DeployedCode
from fenchel.function_runner.in_memory_indexes import (
    FunctionRunnerInMemoryIndexes,
    InMemoryIndexCache,
)
from fenchel.function_runner.in_process_function_runner import InProcessFunctionRunner
from fenchel.function_runner.metrics import FunctionRunnerMetrics
from fenchel.function_runner.runner import AllowedVisibility, FunctionRunner, TransactionHost

__all__ = [
    "AllowedVisibility",
    "CodeSource",
    "DeployedCode",
    "FunctionRunner",
    "FunctionRunnerInMemoryIndexes",
    "FunctionRunnerMetrics",
    "InMemoryIndexCache",
    "InProcessFunctionRunner",
    "TransactionHost",
]
