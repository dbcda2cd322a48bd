"""Code that is not deployed, beside the code that is (deploy-protocol 3.2)."""

from __future__ import annotations

from dataclasses import replace

from fenchel.definitions import AnalyzedFunction
from fenchel.errors import FenchelError, bad_request
from fenchel.isolate import (
    BundleInputs,
    Bundler,
    CodeBundle,
    ModuleSource,
    WorkerPool,
    load_repl_wrappers,
)
from fenchel.udf import JsError

_NOTHING_DEPLOYED = BundleInputs(
    modules=(), environment_variables={}, import_seed=bytes(32), import_unix_ms=0
)


async def bundle_inline_query(
    bundler: Bundler, module: ModuleSource, deployed: BundleInputs | None
) -> CodeBundle:
    """A bundle in which only `module` can be run; it may import deployed modules.

    Raises: InvalidInlineQuery if it does not compile.
    """
    base = deployed or _NOTHING_DEPLOYED
    others = [other for other in base.modules if other.path != module.path]
    inputs = replace(base, modules=[*others, load_repl_wrappers(), module], entry=module.path)
    try:
        return await bundler.bundle(inputs, is_app=False)
    except FenchelError as error:
        if not error.is_developer_error:
            raise
        raise bad_request(
            "InvalidInlineQuery", f"The inline query does not compile.\n{error.message}"
        ) from error


async def find_inline_query(pool: WorkerPool, bundle: CodeBundle) -> AnalyzedFunction | JsError:
    """The default export of the bundle's only module."""
    analysis = await pool.analyze(bundle)
    if isinstance(analysis, JsError):
        return analysis
    (module,) = analysis.values()
    function = module.find("default")
    if function is None:
        return JsError(
            message="The inline query has no default export that is a query. End it with "
            "`export default query({ handler: async (ctx) => … })`."
        )
    return function
