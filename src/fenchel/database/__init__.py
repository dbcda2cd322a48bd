"""Transactions, commit, subscriptions: the multi-version database over a persistence."""

from fenchel.database.bulk_insert import BulkInserter, FutureTableNames
from fenchel.database.change_reader import Change, load_changes
from fenchel.database.database import Database
from fenchel.database.in_memory_indexes import InMemoryIndexes
from fenchel.database.index_backfill import IndexBackfiller
from fenchel.database.index_tables import IndexDiff, IndexTables
from fenchel.database.metadata import Table
from fenchel.database.metrics import CommitMetrics
from fenchel.database.pagination_types import (
    Cursor,
    PageRequest,
    PageResult,
    PageStatus,
    decode_cursor,
    encode_cursor,
    invalid_cursor,
)
from fenchel.database.query_plan import Query, decode_query
from fenchel.database.query_stream import QueryStream, StreamPage
from fenchel.database.read_set import ReadSet, Token
from fenchel.database.repeatable_timestamp import RepeatableTimestamp
from fenchel.database.reservations import Reservation
from fenchel.database.retention import Retention
from fenchel.database.schema_checks import NamespaceTableNames
from fenchel.database.schema_registry import Schema, SchemaState
from fenchel.database.schema_tables import SchemaTables
from fenchel.database.schema_validator import SchemaValidator
from fenchel.database.snapshot_reader import SnapshotReader, TableSize
from fenchel.database.staged_types import StagedTypes
from fenchel.database.subscription import Subscription
from fenchel.database.system_access import SystemTables, is_in_any_table
from fenchel.database.table_admin import TableAdmin
from fenchel.database.table_creation import check_user_table_name, create_component_tables
from fenchel.database.transaction import Transaction
from fenchel.database.types import ROOT, Namespace
from fenchel.database.usage import TransactionUsage
from fenchel.database.user_tables import UserTables
from fenchel.database.virtual_tables import VirtualTable

__all__ = [
    "ROOT",
    "BulkInserter",
    "Change",
    "CommitMetrics",
    "Cursor",
    "Database",
    "FutureTableNames",
    "InMemoryIndexes",
    "IndexBackfiller",
    "IndexDiff",
    "IndexTables",
    "Namespace",
    "NamespaceTableNames",
    "PageRequest",
    "PageResult",
    "PageStatus",
    "Query",
    "QueryStream",
    "ReadSet",
    "RepeatableTimestamp",
    "Reservation",
    "Retention",
    "Schema",
    "SchemaState",
    "SchemaTables",
    "SchemaValidator",
    "SnapshotReader",
    "StagedTypes",
    "StreamPage",
    "Subscription",
    "SystemTables",
    "Table",
    "TableAdmin",
    "TableSize",
    "Token",
    "Transaction",
    "TransactionUsage",
    "UserTables",
    "VirtualTable",
    "check_user_table_name",
    "create_component_tables",
    "decode_cursor",
    "decode_query",
    "encode_cursor",
    "invalid_cursor",
    "is_in_any_table",
    "load_changes",
]
