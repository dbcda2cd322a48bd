"""Answers about the function, the deployment and the request (execution 2.8)."""

from __future__ import annotations

from typing import Literal

import msgspec

from fenchel.database import TransactionUsage
from fenchel.isolate.messages import encode_json_bytes
from fenchel.udf import UdfRequest


class Deployment(msgspec.Struct, frozen=True, kw_only=True, rename={"size_class": "class"}):
    """What `getDeploymentMetadata` answers; a self-hosted deployment has no region."""

    name: str
    region: str | None = None
    size_class: Literal["s16", "s256", "d1024", "d2048"] = "s256"


def function_metadata(request: UdfRequest) -> bytes:
    path = request.path
    return encode_json_bytes({"name": path.stripped, "componentPath": path.component})


def request_metadata(request: UdfRequest) -> bytes:
    """The token itself stays outside: functions get the verified identity instead."""
    context = request.context
    return encode_json_bytes(
        {
            "ip": context.client_ip,
            "userAgent": context.user_agent,
            "requestId": context.request_id,
            "scheduledFunctionId": context.parent_scheduled_job,
            "authToken": None,
        }
    )


def transaction_metrics(usage: TransactionUsage) -> bytes:
    """What the whole transaction has used so far and what is left, callers and callees together."""
    limits = usage.limits
    rows = {
        "bytesRead": (usage.bytes_read, limits.bytes_read_max),
        "bytesWritten": (usage.bytes_written, limits.bytes_written_max),
        "databaseQueries": (usage.intervals_read, limits.intervals_read_max),
        "documentsRead": (usage.documents_read, limits.documents_read_max),
        "documentsWritten": (usage.documents_written, limits.documents_written_max),
        "functionsScheduled": (usage.functions_scheduled, limits.functions_scheduled_max),
        "scheduledFunctionArgsBytes": (usage.scheduled_args_bytes, limits.scheduled_args_bytes_max),
        "filesRead": (usage.files_read, limits.files_read_max),
        "fileReadBytes": (usage.file_bytes_read, limits.file_bytes_read_max),
        "filesWritten": (usage.files_written, limits.files_written_max),
        "fileWriteBytes": (usage.file_bytes_written, limits.file_bytes_written_max),
    }
    return encode_json_bytes(
        {name: {"used": used, "remaining": most - used} for name, (used, most) in rows.items()}
    )
