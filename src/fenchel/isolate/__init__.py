"""Running user code in V8: bundles, snapshots, the pool of worker processes and the system calls they make."""

from fenchel.isolate.code_bundle import BundleInputs, CodeBundle, ModuleSource
from fenchel.isolate.host import UdfHost

__all__ = ["BundleInputs", "CodeBundle", "ModuleSource", "UdfHost"]
