"""From the range expressions of a query to one interval of index keys (database specification
4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fenchel.documents import (
    ID_FIELD,
    FieldPath,
    Interval,
    after_prefix,
    decode_field_path,
    encode_field_path,
)
from fenchel.errors import FenchelError, bad_request
from fenchel.values import UndefinedType, Value, encode_sort_key, render_value

_DOCS = "https://docs.convex.dev/using/indexes"
_OPERATORS = {"Eq": "==", "Gt": ">", "Gte": ">=", "Lt": "<", "Lte": "<="}


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeExpression:
    """One condition: `operator` is Eq, Gt, Gte, Lt or Lte."""

    operator: str
    path: FieldPath
    value: Value | UndefinedType


@dataclass(slots=True)
class _Bounds:
    """Conditions by role. At most one lower and one upper bound, both on a field without
    equality."""

    index_name: str
    equal: dict[FieldPath, RangeExpression] = field(default_factory=dict)
    lower: RangeExpression | None = None
    upper: RangeExpression | None = None

    @property
    def inequality_path(self) -> FieldPath | None:
        bound = self.lower or self.upper
        return None if bound is None else bound.path

    def add(self, expression: RangeExpression) -> None:
        if expression.operator == "Eq":
            self._add_equality(expression)
            return
        if expression.path in self.equal:
            raise _already_defined("equality", expression)
        other = self.inequality_path
        if other is not None and other != expression.path:
            raise _bounds_on_multiple_fields(self.index_name, other, expression.path)
        if expression.operator in ("Gt", "Gte"):
            if self.lower is not None:
                raise _already_defined("lower", expression)
            self.lower = expression
        else:
            if self.upper is not None:
                raise _already_defined("upper", expression)
            self.upper = expression

    def _add_equality(self, expression: RangeExpression) -> None:
        if expression.path in self.equal:
            raise _already_defined("equality", expression)
        if expression.path == self.inequality_path:
            raise _already_defined("inequality", expression)
        self.equal[expression.path] = expression


def compile_range(
    index_name: str, fields: Sequence[FieldPath], expressions: Sequence[RangeExpression]
) -> Interval:
    """The keys that satisfy all conditions; empty if the bounds exclude each other.

    `index_name` is `table.index`, for messages; `fields` are the index's fields without `_id`.
    Raises: AlreadyDefinedBound, BoundsOnMultipleFields, FieldNotInIndex, InvalidIndexRange.
    """
    indexed = (*fields, decode_field_path(ID_FIELD))
    bounds = _Bounds(index_name)
    for expression in expressions:
        if expression.path not in indexed:
            raise _field_not_in_index(index_name, fields, expression.path)
        bounds.add(expression)
    _check_prefix(index_name, indexed, bounds)
    prefix = b"".join(
        encode_sort_key(bounds.equal[path].value) for path in indexed[: len(bounds.equal)]
    )
    return Interval(_start(prefix, bounds.lower), _end(prefix, bounds.upper))


def _start(prefix: bytes, lower: RangeExpression | None) -> bytes:
    if lower is None:
        return prefix
    key = prefix + encode_sort_key(lower.value)
    if lower.operator == "Gte":
        return key
    after = after_prefix(key)
    assert after is not None
    return after


def _end(prefix: bytes, upper: RangeExpression | None) -> bytes | None:
    if upper is None:
        return after_prefix(prefix)
    key = prefix + encode_sort_key(upper.value)
    return key if upper.operator == "Lt" else after_prefix(key)


def _check_prefix(index_name: str, indexed: Sequence[FieldPath], bounds: _Bounds) -> None:
    used = list(bounds.equal)
    if bounds.inequality_path is not None:
        used.append(bounds.inequality_path)
    expected = indexed[: len(used)]
    equal_count = len(bounds.equal)
    if set(used[:equal_count]) == set(expected[:equal_count]) and used[equal_count:] == list(
        expected[equal_count:]
    ):
        return
    incorrect = next(
        path
        for place, path in enumerate(used)
        if path not in expected[: equal_count if place < equal_count else None]
        or (place >= equal_count and path != expected[place])
    )
    raise bad_request(
        "InvalidIndexRange",
        f"Tried to query index {index_name} but the query didn't use the index fields in order.\n"
        f"Index fields: {_render_fields(indexed)}\n"
        f"Query fields: {_render_fields(used)}\n"
        f'First incorrect field: "{encode_field_path(incorrect)}"\n'
        f"For more information see {_DOCS}.",
    )


def _already_defined(what: str, expression: RangeExpression) -> FenchelError:
    return bad_request(
        "AlreadyDefinedBound",
        f"Already defined {what} bound in index range. Can't add "
        f'"{encode_field_path(expression.path)}" {_OPERATORS[expression.operator]} '
        f"{render_value(expression.value)}.",
    )


def _bounds_on_multiple_fields(
    index_name: str, first: FieldPath, second: FieldPath
) -> FenchelError:
    return bad_request(
        "BoundsOnMultipleFields",
        "Upper and lower bounds in `range` can only be applied to a single index field. This query "
        f"against index {index_name} attempted to set a range bound on both "
        f'"{encode_field_path(first)}" and "{encode_field_path(second)}". Consider using `filter` '
        f"instead. See {_DOCS} for more info.",
    )


def _field_not_in_index(
    index_name: str, fields: Sequence[FieldPath], path: FieldPath
) -> FenchelError:
    return bad_request(
        "FieldNotInIndex",
        f'The index range included a comparison with "{encode_field_path(path)}", but {index_name} '
        f"with fields {_render_fields(fields)} doesn't index this field. For more information see "
        f"{_DOCS}.",
    )


def _render_fields(fields: Sequence[FieldPath]) -> str:
    names = ", ".join(f'"{encode_field_path(path)}"' for path in fields)
    return f"[{names}]"
