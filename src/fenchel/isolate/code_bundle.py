"""What the bundler takes and what a worker loads: values only, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Environment = Literal["isolate", "node"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSource:
    """One pushed module. `path` is canonical ("a/b.js", "_deps/ab12.js"); `source_map` is JSON
    text.
    """

    path: str
    source: str
    source_map: str | None = None
    environment: Environment = "isolate"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleInputs:
    """Everything that the code of one component may observe while its modules are evaluated.

    `import_seed`: 32 bytes; `import_unix_ms`: the time that module-level code sees (execution 3.2).
    `entry` names the only module that can be run; None means all but chunks.
    """

    modules: Sequence[ModuleSource]
    environment_variables: Mapping[str, str]
    import_seed: bytes
    import_unix_ms: int
    entry: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBundle:
    """One script holding all isolate modules of a component, ready for a worker.

    `key` names the inputs: equal keys, equal behaviour. `modules` are the paths that may be run or
    analysed, without `_deps/`. `source_map` is JSON and may be empty. `snapshot` is None when the
    modules could not be evaluated ahead; then every fresh context evaluates the script. `is_app` is
    False for push-time evaluations, which run once and need no contexts prepared ahead.
    """

    key: str
    script: bytes
    source_map: bytes
    modules: tuple[str, ...]
    environment_variables: Mapping[str, str]
    import_seed: bytes
    import_unix_ms: int
    snapshot: bytes | None = None
    is_app: bool = True

    @property
    def size_bytes(self) -> int:
        """What the bundle costs in a cache."""
        return len(self.script) + len(self.source_map) + len(self.snapshot or b"")
