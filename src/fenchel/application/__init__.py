"""Running functions with caching, retries and idempotency; deploys, schedules, function log."""

from fenchel.application.application import Application
from fenchel.application.audit_log import AUDIT_LOG
from fenchel.application.calls import (
    ActionRun,
    ClientResult,
    FunctionCall,
    FunctionCaller,
    HttpActionCall,
    HttpActionError,
    MutationRun,
    QueryRun,
    SessionRequest,
)
from fenchel.application.clock_advance import ClockAdvancer
from fenchel.application.data_reset import DataResetter
from fenchel.application.data_sync import DataSync
from fenchel.application.deploy_messages import (
    CanonicalUrls,
    ConfigHashes,
    EnvironmentChange,
    EvaluatePushResponse,
    EvaluateSchemaResponse,
    FinishPushRequest,
    FinishPushResponse,
    SchemaStatus,
    StartPushRequest,
    StartPushResponse,
    WaitForSchemaRequest,
)
from fenchel.application.deploy_service import DeployService
from fenchel.application.environment import EnvironmentService
from fenchel.application.export_selection import ExportSelection, decode_selection, select
from fenchel.application.exports import ExportFile, ExportService
from fenchel.application.function_log import FunctionLog, FunctionLogPage
from fenchel.application.imports import ImportRequest, ImportService
from fenchel.application.metrics import ApplicationMetrics
from fenchel.application.query_cache import QueryCacheStatistics
from fenchel.application.stored_files import StoredFiles
from fenchel.application.streaming_export import StreamedDocument, StreamingExports
from fenchel.application.usage import TABLE_KIND, UsageTracker

__all__ = [
    "AUDIT_LOG",
    "TABLE_KIND",
    "ActionRun",
    "Application",
    "ApplicationMetrics",
    "CanonicalUrls",
    "ClientResult",
    "ClockAdvancer",
    "ConfigHashes",
    "DataResetter",
    "DataSync",
    "DeployService",
    "EnvironmentChange",
    "EnvironmentService",
    "EvaluatePushResponse",
    "EvaluateSchemaResponse",
    "ExportFile",
    "ExportSelection",
    "ExportService",
    "FinishPushRequest",
    "FinishPushResponse",
    "FunctionCall",
    "FunctionCaller",
    "FunctionLog",
    "FunctionLogPage",
    "HttpActionCall",
    "HttpActionError",
    "ImportRequest",
    "ImportService",
    "MutationRun",
    "QueryCacheStatistics",
    "QueryRun",
    "SchemaStatus",
    "SessionRequest",
    "StartPushRequest",
    "StartPushResponse",
    "StoredFiles",
    "StreamedDocument",
    "StreamingExports",
    "UsageTracker",
    "WaitForSchemaRequest",
    "decode_selection",
    "select",
]
