"""Putting functions on the schedule and taking them off, inside a transaction (execution 6.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fenchel.application.stored_files import StoredFiles
from fenchel.auth import KeyBroker, TokenSigner
from fenchel.database import Namespace, Transaction, invalid_cursor
from fenchel.definitions import FunctionPath
from fenchel.errors import FenchelError, bad_request
from fenchel.model import (
    JobState,
    find_job_by_user_id,
    finished,
    get_job,
    get_module,
    insert_job,
    replace_job,
)
from fenchel.runtime import Runtime
from fenchel.udf import FileAccess, UdfRequest, UdfType
from fenchel.values import decode_json

_HORIZON_SECONDS = 5 * 366 * 86_400
_CURSOR_PURPOSE = "queryCursor"


class TransactionServices:
    """What the function runner asks for while a query or mutation runs."""

    def __init__(
        self,
        *,
        key_broker: KeyBroker,
        token_signer: TokenSigner,
        stored_files: StoredFiles,
        runtime: Runtime,
    ) -> None:
        self._key_broker = key_broker
        self._token_signer = token_signer
        self._stored_files = stored_files
        self._clock = runtime.clock

    async def schedule(
        self,
        parent: UdfRequest,
        transaction: Transaction,
        path: FunctionPath,
        args_json: str,
        unix_seconds: float,
    ) -> str:
        """Record a job; its id. Raises developer errors for a bad time, path or arguments."""
        _check_time(unix_seconds, now_seconds=parent.unix_ms / 1_000)
        _check_args(path, args_json)
        transaction.usage.record_scheduled(len(args_json.encode()))
        await _check_target(transaction, path)
        state = JobState("pending")
        if await _is_parent_canceled(parent, transaction):
            state = JobState("canceled")
        return await insert_job(
            transaction,
            path,
            args_json,
            due_ns=int(unix_seconds * 1e9),
            state=state,
            now_ns=self._clock.now_ns(),
            namespace=parent.path.component,
        )

    async def cancel_job(self, parent: UdfRequest, transaction: Transaction, job_id: str) -> None:
        """Cancel an unfinished job; a finished or forgotten one is left alone."""
        context = parent.context
        is_itself = job_id == context.parent_scheduled_job and context.is_root
        if is_itself and parent.udf_type is UdfType.MUTATION:
            raise bad_request("ScheduledFunctionCancelingItself", "A mutation cannot cancel itself")
        component = parent.path.component
        job = await find_job_by_user_id(transaction, job_id, namespace=component)
        if job is not None and not job.row.is_finished:
            row = finished(job.row, JobState("canceled"), now_ns=self._clock.now_ns())
            await replace_job(transaction, job, row)

    def files(self, transaction: Transaction, component: Namespace) -> FileAccess:
        """The component's files, as the transaction sees and changes them."""
        return self._stored_files.access(transaction, component)

    def sign_token(self, request: UdfRequest, claims: Mapping[str, Any], seconds: float) -> str:
        """Issued at the mutation's frozen time, by its component. Raises: InvalidArgument."""
        return self._token_signer.sign(
            claims,
            component=request.path.component,
            issued_seconds=request.unix_ms // 1_000,
            seconds=seconds,
        )

    def seal_cursor(self, plain: bytes) -> str:
        return self._key_broker.seal(_CURSOR_PURPOSE, plain)

    def open_cursor(self, text: str) -> bytes:
        """The bytes that were sealed. Raises InvalidCursor, on which clients start again."""
        try:
            return self._key_broker.open(_CURSOR_PURPOSE, text)
        except FenchelError as error:
            raise invalid_cursor("Failed to parse cursor") from error


def _check_time(unix_seconds: float, *, now_seconds: float) -> None:
    if not math.isfinite(unix_seconds):
        raise bad_request(
            "InvalidScheduledFunctionDelay", "The time of a scheduled function must be finite."
        )
    delay_seconds = unix_seconds - now_seconds
    if abs(delay_seconds) > _HORIZON_SECONDS:
        direction = "future" if delay_seconds > 0 else "past"
        raise bad_request(
            "InvalidScheduledFunctionDelay",
            f"The time {unix_seconds:g} of a scheduled function is more than 5 years in the "
            f"{direction}.",
        )


def _check_args(path: FunctionPath, args_json: str) -> None:
    try:
        args = decode_json(args_json)
    except FenchelError as error:
        raise bad_request(error.code, f"Invalid arguments for {path}: {error.message}") from error
    assert isinstance(args, list), "the function runner passes an array of arguments"


async def _check_target(transaction: Transaction, path: FunctionPath) -> None:
    module = await get_module(transaction, path.module, namespace=path.component)
    if module is None or module.analysis is None:
        raise bad_request(
            "InvalidScheduledFunction",
            f"Attempted to schedule function at nonexistent path: {path.stripped}",
        )
    if all(function.name != path.function for function in module.analysis.functions):
        raise bad_request(
            "InvalidScheduledFunction",
            f"Attempted to schedule function, but no exported function {path.function} found in "
            f"the file: {path.module}. Did you forget to export it?",
        )


async def _is_parent_canceled(parent: UdfRequest, transaction: Transaction) -> bool:
    """True if the scheduled function that this call descends from was canceled meanwhile."""
    job_id = parent.context.parent_scheduled_job
    if job_id is None:
        return False
    component = parent.context.scheduling_component
    job = await get_job(transaction, job_id, namespace=component)
    return job is not None and job.row.state.type == "canceled"
