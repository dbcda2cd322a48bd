"""Transactions, commit, subscriptions: the multi-version database over a persistence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fenchel.database.pagination_types import (
    Cursor,
    PageRequest,
    PageResult,
    PageStatus,
    decode_cursor,
    encode_cursor,
    invalid_cursor,
)
from fenchel.documents import Document, Timestamp
from fenchel.persistence import Persistence
from fenchel.runtime import Runtime
from fenchel.values import UndefinedType, Value

Namespace = str
ROOT: Namespace = ""

# Signatures first: the bodies replace these declarations file by file.


class ReadSet: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    reads: ReadSet
    ts: Timestamp


class Subscription:
    is_valid: bool
    invalid_ts: Timestamp | None

    def close(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class TransactionUsage:
    documents_read: int = 0
    bytes_read: int = 0
    intervals_read: int = 0
    documents_written: int = 0
    bytes_written: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPage:
    documents: list[Document]
    is_done: bool


class QueryStream:
    async def next(self) -> Document | None:
        raise NotImplementedError

    async def fetch_page(self) -> StreamPage:
        raise NotImplementedError

    def record_consumed(self, total_documents: int, saw_end: bool) -> None: ...


class UserTables:
    async def get(
        self, id_text: str, *, table: str | None = None, is_system: bool = False
    ) -> Document | None:
        raise NotImplementedError

    async def insert(self, table: str, value: dict[str, Value]) -> str:
        raise NotImplementedError

    async def patch(
        self, id_text: str, fields: dict[str, Value | UndefinedType], *, table: str | None = None
    ) -> Document:
        raise NotImplementedError

    async def replace(
        self, id_text: str, value: dict[str, Value], *, table: str | None = None
    ) -> Document:
        raise NotImplementedError

    async def delete(self, id_text: str, *, table: str | None = None) -> Document:
        raise NotImplementedError

    async def count(self, table: str) -> int:
        raise NotImplementedError

    def normalize_id(self, table: str, id_text: str, *, is_system: bool = False) -> str | None:
        raise NotImplementedError

    def open_stream(self, query: Any) -> QueryStream:
        raise NotImplementedError

    async def paginate(self, request: PageRequest) -> PageResult:
        raise NotImplementedError


class SystemTables:
    async def get(self, table: str, id_text: str) -> Document | None:
        raise NotImplementedError

    async def insert(self, table: str, value: dict[str, Value]) -> str:
        raise NotImplementedError

    async def replace(self, table: str, id_text: str, value: dict[str, Value]) -> None:
        raise NotImplementedError

    async def delete(self, table: str, id_text: str) -> None:
        raise NotImplementedError

    async def query(
        self,
        table: str,
        index: str,
        prefix: Sequence[Value | UndefinedType] = (),
        *,
        order: str = "asc",
        limit: int | None = None,
        lower: Value = None,
        upper: Value = None,
    ) -> list[Document]:
        raise NotImplementedError


class Transaction:
    begin_ts: Timestamp
    reads: ReadSet
    usage: TransactionUsage
    is_read_only: bool

    def user(self, namespace: Namespace = ROOT) -> UserTables:
        raise NotImplementedError

    def system(self, namespace: Namespace = ROOT) -> SystemTables:
        raise NotImplementedError

    def begin_subtransaction(self) -> None: ...
    def commit_subtransaction(self) -> None: ...
    def rollback_subtransaction(self) -> None: ...


class Database:
    @classmethod
    async def open(cls, persistence: Persistence, runtime: Runtime) -> Database:
        raise NotImplementedError

    def latest_ts(self) -> Timestamp:
        raise NotImplementedError

    def begin(self, *, ts: Timestamp | None = None) -> Transaction:
        raise NotImplementedError

    async def commit(self, tx: Transaction, *, write_source: str | None = None) -> Timestamp:
        raise NotImplementedError

    def token(self, tx: Transaction) -> Token:
        raise NotImplementedError

    def refresh(self, token: Token, ts: Timestamp) -> Token | None:
        raise NotImplementedError

    def subscribe(
        self, token: Token, on_invalidate: Callable[[Subscription], None]
    ) -> Subscription:
        raise NotImplementedError

    async def wait_for_ts(self, ts: Timestamp) -> None: ...
    async def wait_failed(self) -> Exception:
        raise NotImplementedError

    async def close(self) -> None: ...


__all__ = [
    "ROOT",
    "Cursor",
    "Database",
    "Namespace",
    "PageRequest",
    "PageResult",
    "PageStatus",
    "QueryStream",
    "ReadSet",
    "StreamPage",
    "Subscription",
    "SystemTables",
    "Token",
    "Transaction",
    "TransactionUsage",
    "UserTables",
    "decode_cursor",
    "encode_cursor",
    "invalid_cursor",
]
