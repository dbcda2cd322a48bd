"""The system tables as data: names, numbers, indexes, and which are served from memory.

Source: database specification 3.2 and 9.6. Some indexes on `_tables` and `_index` are our own
choice: looking a name up in an index makes its absence a read like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fenchel.database.types import BY_CREATION_TIME, BY_ID
from fenchel.documents import CREATION_TIME_FIELD

_SYSTEM_NUMBER_BASE: Final = 512
FIRST_USER_TABLE_NUMBER: Final = 10_001
USER_TABLES_MAX: Final = 10_000

TABLES: Final = "_tables"
INDEXES: Final = "_index"
SCHEMAS: Final = "_schemas"
INDEX_BACKFILLS: Final = "_index_backfills"
SCHEMA_VALIDATION_PROGRESS: Final = "_schema_validation_progress"
SCHEMA_VALIDATIONS: Final = "_schema_validations"

TABLES_BY_NAME: Final = "by_name"
TABLES_BY_NUMBER: Final = "by_number"
INDEXES_BY_TABLE: Final = "by_table_and_name"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemTable:
    """`indexes` maps names to declared fields; `_creationTime` follows them implicitly.

    `is_per_component`: every component has its own; all others exist in the root namespace only.
    """

    name: str
    number: int
    indexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_in_memory: bool = False
    is_per_component: bool = False


def _table(
    name: str,
    offset: int,
    indexes: Mapping[str, tuple[str, ...]] | None = None,
    *,
    memory: bool = False,
    component: bool = False,
) -> SystemTable:
    return SystemTable(
        name=name,
        number=_SYSTEM_NUMBER_BASE + offset,
        indexes=indexes or {},
        is_in_memory=memory,
        is_per_component=component,
    )


_ALL: Final = (
    _table(
        TABLES,
        1,
        {TABLES_BY_NAME: ("namespace", "name"), TABLES_BY_NUMBER: ("namespace", "number")},
        memory=True,
    ),
    _table(INDEXES, 2, {INDEXES_BY_TABLE: ("table_id", "descriptor")}, memory=True),
    _table(SCHEMAS, 20, memory=True, component=True),
    _table("_component_definitions", 31, {"by_path": ("path",)}, memory=True),
    _table(
        "_components",
        32,
        {"by_parent_and_name": ("parent", "name"), "by_path": ("path",)},
        memory=True,
    ),
    _table(INDEX_BACKFILLS, 36, {"by_index_id": ("indexId",)}, memory=True),
    _table(
        SCHEMA_VALIDATION_PROGRESS,
        37,
        {"by_schema_id": ("schemaId",)},
        memory=True,
        component=True,
    ),
    _table(
        "_exports",
        4,
        {"by_state_and_ts": ("state", "start_ts"), "by_requestor": ("requestor",)},
    ),
    _table("_backend_info", 5, memory=True),
    _table("_udf_config", 6, memory=True, component=True),
    _table("_auth", 7, memory=True),
    _table("_db", 8, memory=True),
    _table("_modules", 9, {"by_path": ("path",)}, memory=True, component=True),
    _table("_source_packages", 12, memory=True, component=True),
    _table("_environment_variables", 13, {"by_name": ("name",)}, memory=True),
    _table("_deployment_audit_log", 15),
    _table("_session_requests", 17, {"by_session_id_and_request_id": ("sessionId", "requestId")}),
    _table("_cron_jobs", 19, {"by_name": ("name",)}, memory=True, component=True),
    _table("_cron_job_logs", 21, {"by_name_and_ts": ("name", "ts")}, component=True),
    _table("_backend_state", 24, memory=True),
    _table("_external_deps_packages", 25),
    _table(
        "_scheduled_jobs",
        27,
        {
            "by_next_ts": ("nextTs",),
            "by_udf_path_and_next_ts": ("udfPath", "nextTs"),
            "by_completed_ts": ("completedTs",),
        },
        component=True,
    ),
    _table(
        "_file_storage",
        28,
        {"by_storage_id": ("storageId",), "by_storage_key": ("storageKey",)},
        component=True,
    ),
    _table("_snapshot_imports", 29, {"by_state": ("state.state",)}),
    _table("_function_handles", 33, {"by_component_path": ("component", "path")}),
    _table("_canonical_urls", 34, {"by_request_destination": ("requestDestination",)}, memory=True),
    _table(
        "_cron_next_run",
        35,
        {"by_next_ts": ("nextTs",), "by_cron_job_id": ("cronJobId",)},
        memory=True,
        component=True,
    ),
    _table("_scheduled_job_args", 38, component=True),
    _table(
        SCHEMA_VALIDATIONS,
        42,
        {"by_schema_id_and_table": ("schemaId", "tableName")},
        memory=True,
        component=True,
    ),
    _table(
        "_function_usage", 60, {"by_day_and_function": ("day", "component", "function", "kind")}
    ),
)

SYSTEM_TABLES: Final[Mapping[str, SystemTable]] = {table.name: table for table in _ALL}


def is_system_name(name: str) -> bool:
    """Whether the table belongs to the system; users' names never begin with an underscore."""
    return name.startswith("_")


def is_in_memory(name: str) -> bool:
    """Whether the table is held in memory as a whole and read without I/O."""
    table = SYSTEM_TABLES.get(name)
    return table is not None and table.is_in_memory


def indexes_of_new_table(name: str) -> dict[str, tuple[str, ...]]:
    """Full field lists, by index name, that a table is created with."""
    declared = SYSTEM_TABLES[name].indexes if name in SYSTEM_TABLES else {}
    indexes: dict[str, tuple[str, ...]] = {BY_ID: (), BY_CREATION_TIME: (CREATION_TIME_FIELD,)}
    for index, fields in declared.items():
        indexes[index] = (*fields, CREATION_TIME_FIELD)
    return indexes
