"""Push-time evaluations: run one of the worker's evaluators and read what it answers (execution
1.7).
"""

from __future__ import annotations

import msgspec

from fenchel.definitions import (
    AnalyzedCron,
    AnalyzedFunction,
    AnalyzedHttpRoute,
    AnalyzedModule,
    HttpRoute,
)
from fenchel.errors import internal_error
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.cron_specs import decode_crons
from fenchel.isolate.messages import ExecuteHeader, ExecutionKind, Outcome
from fenchel.isolate.outcomes import check_not_starved, decode_result
from fenchel.isolate.worker import Worker
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import JsError

_NO_SEED = bytes(32)


class _Module(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One module as the worker describes it; `cron_specs` is the JSON text of `crons.export()`."""

    functions: tuple[AnalyzedFunction, ...]
    http_routes: tuple[HttpRoute, ...] | None = None
    cron_specs: str | None = None


_modules = msgspec.json.Decoder(dict[str, _Module])


async def analyze(
    worker: Worker, bundle: CodeBundle, settings: IsolateSettings, patience: int
) -> dict[str, AnalyzedModule] | JsError:
    """Each runnable module's functions, routes and crons.

    `patience` as in `Attempt`.

    Raises: WorkerLost; FenchelError, for the system or a cron that makes no sense.
    """
    limit = settings.analyze_seconds_max
    text = await _run(worker, bundle, "analyze", "", limit, settings, patience)
    if isinstance(text, JsError):
        return text
    try:
        modules = _modules.decode(text)
    except msgspec.MsgspecError as error:
        return JsError(message=f"Failed to analyze the modules: {error}")
    return {path: _decode_module(module) for path, module in modules.items()}


async def evaluate(
    worker: Worker,
    bundle: CodeBundle,
    kind: ExecutionKind,
    settings: IsolateSettings,
    patience: int,
) -> str | JsError:
    """JSON text of what the bundle's only module exports. `patience` as in `Attempt`.

    Raises: WorkerLost.
    """
    (module,) = bundle.modules
    limit = settings.evaluation_seconds_max
    return await _run(worker, bundle, kind, module, limit, settings, patience)


def _decode_module(module: _Module) -> AnalyzedModule:
    routes = module.http_routes
    crons: tuple[AnalyzedCron, ...] | None = None
    if module.cron_specs is not None:
        crons = decode_crons(module.cron_specs)
    return AnalyzedModule(
        functions=module.functions,
        http_routes=None if routes is None else tuple(AnalyzedHttpRoute(route=r) for r in routes),
        cron_specs=crons,
    )


class _NoSyscalls:
    """Importing code may not ask for anything that needs an answer."""

    def answer_sync_call(self, op: str, args: bytes) -> tuple[bool, bytes]:
        return False, msgspec.json.encode({"message": f"Syscall {op} unsupported at import time"})


async def _run(
    worker: Worker,
    bundle: CodeBundle,
    kind: ExecutionKind,
    module: str,
    seconds_max: float,
    settings: IsolateSettings,
    patience: int,
) -> str | JsError:
    header = ExecuteHeader(
        kind=kind,
        module=module,
        function="",
        seed=_NO_SEED.hex(),
        unix_ms=bundle.import_unix_ms,
        request_id="",
        execution_id="",
        is_fresh=True,
        user_timeout_ms=int(seconds_max * 1000),
        patience=patience,
    )
    execution = await worker.execute(bundle, header, "[]", _NoSyscalls())
    try:
        event = await execution.next_event()
    finally:
        worker.release(execution)
    if not isinstance(event, Outcome):
        worker.process.kill("an evaluation made system calls")
        raise internal_error("an isolate worker broke the protocol")
    check_not_starved(event)
    return decode_result(
        event, user_seconds_max=seconds_max, heap_mebibytes_max=settings.heap_mebibytes_max
    )
