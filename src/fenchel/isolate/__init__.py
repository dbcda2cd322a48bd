"""Running user code in V8: bundles, snapshots, the worker processes and the system calls they
make.
"""

from fenchel.isolate.addresses import Address
from fenchel.isolate.bundler import Bundler
from fenchel.isolate.code_bundle import BundleInputs, CodeBundle, ModuleSource
from fenchel.isolate.host import FunctionNames, NestedCall, NestedKind, UdfHost
from fenchel.isolate.metadata import Deployment
from fenchel.isolate.metrics import IsolateMetrics, PoolStatistics
from fenchel.isolate.repl_wrappers import load_repl_wrappers
from fenchel.isolate.sandbox import Sandbox, local_sandbox
from fenchel.isolate.snapshot_builder import SnapshotBuilder
from fenchel.isolate.snapshot_cache import SnapshotCache
from fenchel.isolate.worker_pool import WorkerPool

__all__ = [
    "Address",
    "BundleInputs",
    "Bundler",
    "CodeBundle",
    "Deployment",
    "FunctionNames",
    "IsolateMetrics",
    "ModuleSource",
    "NestedCall",
    "NestedKind",
    "PoolStatistics",
    "Sandbox",
    "SnapshotBuilder",
    "SnapshotCache",
    "UdfHost",
    "WorkerPool",
    "load_repl_wrappers",
    "local_sandbox",
]
