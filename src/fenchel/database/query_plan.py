"""From the query AST to what a scan needs: table, index, interval, order, operators.

Source: execution specification 2.6; database specification 4.7 for the errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec

from fenchel.database.filter_expression import compile_filter
from fenchel.database.index_range import RangeExpression, compile_range
from fenchel.database.metadata import Index, IndexKind, IndexState, Table
from fenchel.database.types import BY_CREATION_TIME, BY_ID
from fenchel.documents import FieldPath, Interval, decode_field_path, encode_field_path
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.values import Value, decode_optional_value

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction

Order = Literal["asc", "desc"] | None


class _Range(msgspec.Struct):
    type: Literal["Eq", "Gt", "Gte", "Lt", "Lte"]
    fieldPath: str
    value: Any


class _FullTableScan(msgspec.Struct, tag="FullTableScan"):
    tableName: str
    order: Order = None


class _IndexRange(msgspec.Struct, tag="IndexRange"):
    indexName: str
    range: list[_Range]
    order: Order = None


class _Search(msgspec.Struct, tag="Search"):
    indexName: str


class _Operator(msgspec.Struct):
    filter: Any = msgspec.UNSET
    limit: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET


class _Query(msgspec.Struct):
    source: _FullTableScan | _IndexRange | _Search
    operators: list[_Operator]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    accepts: Callable[[Value], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    count: int


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of one index, in one direction."""

    table: Table
    index: Index
    interval: Interval
    is_descending: bool


class QueryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`scan` None: the table does not exist, so the query is empty. Operators apply in list
    order."""

    scan: Scan | None
    operators: tuple[Filter | Limit, ...]
    field_names: tuple[str, ...]

    @property
    def table(self) -> Table | None:
        return None if self.scan is None else self.scan.table


class _Bound(NamedTuple):
    """What a query is on an index with these fields."""

    fields: tuple[FieldPath, ...]
    interval: Interval
    field_names: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Query:
    """A decoded AST: what is the same in every transaction, so that it may be kept.

    `bound` remembers the index that it was compiled for last; it starts None.
    """

    table_name: str
    index_name: str
    ranges: list[RangeExpression]
    is_descending: bool
    operators: tuple[Filter | Limit, ...]
    bound: _Bound | None = None

    @property
    def full_index_name(self) -> str:
        return f"{self.table_name}.{self.index_name}"

    def bind(self, index: Index) -> _Bound:
        """Raises: the range errors of `compile_range`."""
        bound = self.bound
        if bound is None or bound.fields != index.fields:
            bound = self.bound = _Bound(
                fields=index.fields,
                interval=compile_range(self.full_index_name, index.fields, self.ranges),
                field_names=tuple(map(encode_field_path, index.fields)),
            )
        return bound


def decode_query(parsed: Any) -> Query:
    """Raises: InvalidArgument; SearchIndexesUnavailable."""
    query = _convert_query(parsed)
    operators = tuple(map(_compile_operator, query.operators))
    source = query.source
    match source:
        case _FullTableScan():
            table_name, index_name, ranges = source.tableName, BY_CREATION_TIME, []
        case _IndexRange():
            table_name, index_name = _split_index_name(source.indexName)
            ranges = [_decode_range(item) for item in source.range]
        case _Search():
            raise FenchelError(
                ErrorKind.FEATURE_UNAVAILABLE,
                "SearchIndexesUnavailable",
                "Search indexes are not available on this backend.",
            )
    return Query(
        table_name=table_name,
        index_name=index_name,
        ranges=ranges,
        is_descending=source.order == "desc",
        operators=operators,
    )


def compile_query(
    tx: Transaction, query: Query, find_table: Callable[[str], Table | None]
) -> QueryPlan:
    """The plan of a query; the look-ups become reads of the transaction.

    `find_table` resolves a name as its user may see it. Raises: the range errors of
    `compile_range`, IndexNotFoundError, IndexBackfillingError, IndexStagedError,
    IndexNotADatabaseIndex; InvalidArgument if it has more operators than the transaction allows.
    """
    if len(query.operators) > tx.usage.limits.query_operators_max:
        raise _invalid(f"Query has too many operators: {len(query.operators)}")
    table = find_table(query.table_name)
    if table is None:
        return QueryPlan(scan=None, operators=query.operators, field_names=())
    index = _find_queryable_index(tx, table, query)
    bound = query.bind(index)
    scan = Scan(
        table=table,
        index=index,
        interval=bound.interval,
        is_descending=query.is_descending,
    )
    return QueryPlan(scan=scan, operators=query.operators, field_names=bound.field_names)


def _convert_query(parsed: Any) -> _Query:
    try:
        return msgspec.convert(parsed, _Query)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error


def _compile_operator(item: _Operator) -> Filter | Limit:
    if item.limit is not msgspec.UNSET:
        return Limit(count=item.limit)
    if item.filter is msgspec.UNSET:
        raise _invalid("expected the operator `filter` or `limit`")
    return Filter(accepts=compile_filter(item.filter))


def _decode_range(item: _Range) -> RangeExpression:
    return RangeExpression(
        operator=item.type,
        path=decode_field_path(item.fieldPath),
        value=decode_optional_value(item.value),
    )


def _split_index_name(text: str) -> tuple[str, str]:
    table_name, dot, index_name = text.partition(".")
    if not dot:
        raise _invalid(f"{text} is not of the form table.index")
    return table_name, index_name


def _find_queryable_index(tx: Transaction, table: Table, query: Query) -> Index:
    index = tx.find_index(table, query.index_name)
    is_visible = table.is_user or query.index_name in (BY_ID, BY_CREATION_TIME)
    # As the user wrote it, which for a virtual table is not the physical name.
    full_name = query.full_index_name
    if index is None or not is_visible:
        raise bad_request("IndexNotFoundError", f"Index {full_name} not found.")
    if index.kind is not IndexKind.DATABASE:
        raise bad_request("IndexNotADatabaseIndex", f"Index {full_name} is not a database index")
    if index.state is IndexState.ENABLED:
        return index
    if index.is_staged:
        raise bad_request(
            "IndexStagedError",
            f"Index {full_name} is currently staged and not available to query until it is "
            "enabled.",
        )
    raise bad_request(
        "IndexBackfillingError",
        f"Index {full_name} is currently backfilling and not available to query yet.",
    )


def _invalid(reason: str) -> FenchelError:
    return bad_request("InvalidArgument", f"Invalid argument `query` for `queryStream`: {reason}")
