"""The module that inline queries import for `query` and `internalQuery` (deploy-protocol 3.2)."""

from __future__ import annotations

from functools import cache

from fenchel.isolate.code_bundle import ModuleSource
from fenchel.isolate.spawn import BUNDLED_FOLDER

REPL_WRAPPERS_IMPORT = "convex:/_system/repl/wrappers.js"
_FILE = "repl-wrappers.js"
# A chunk: it can be imported, but not run.
REPL_WRAPPERS_PATH = "_deps/fenchel_repl_wrappers.js"


@cache
def load_repl_wrappers() -> ModuleSource:
    return ModuleSource(path=REPL_WRAPPERS_PATH, source=(BUNDLED_FOLDER / _FILE).read_text())
