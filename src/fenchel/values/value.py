"""What a Convex value is inside Fenchel, and which values are allowed (execution specification
4.2).

An `int` is an Int64 and a `float` a Float64, always; `True` is a Boolean. Python's `==` mixes the
three, so compare values with `compare_values`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias, cast

from fenchel.errors import FenchelError, bad_request


class CommitTsType(Enum):
    """The timestamp of the commit to come, `db.vars.commitTs` (database specification 7.7): inside
    a mutation's transaction only. Sorts, and counts, as the greatest Int64."""

    COMMIT_TS = "commitTs"


COMMIT_TS: Final = CommitTsType.COMMIT_TS

# Recursive: a list holds values, a dict maps field names to values.
Value: TypeAlias = (
    "bool | int | float | str | bytes | list[Value] | dict[str, Value] | CommitTsType | None"
)


class UndefinedType(Enum):
    """The absent value: in filters, ranges, patches and index keys only, never inside a value."""

    UNDEFINED = "undefined"


UNDEFINED: Final = UndefinedType.UNDEFINED

ARRAY_LENGTH_MAX = 8_192
OBJECT_FIELDS_MAX = 1_024
FIELD_NAME_LENGTH_MAX = 1_024
VALUE_NESTING_MAX = 64
VALUE_BYTES_MAX = 1 << 25
INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1


def value_size(value: Value) -> int:
    """Bytes that a value counts for limits and bandwidth (client-protocol specification 1.5)."""
    kind = type(value)
    if kind is str:
        text = cast("str", value)
        return 2 + (len(text) if text.isascii() else len(text.encode()))
    if kind is float or kind is int or kind is CommitTsType:
        return 9
    if kind is dict:
        # A loop: a generator costs more than most fields do.
        size_bytes = 2
        for name, item in cast("dict[str, Value]", value).items():
            size_bytes += len(name) + 1 + value_size(item)
        return size_bytes
    if kind is list:
        return 2 + sum(map(value_size, cast("list[Value]", value)))
    if kind is bytes:
        return 2 + len(cast("bytes", value))
    return 1


def holds_commit_ts(value: Value) -> bool:
    """Whether a commit timestamp in the value is still unknown."""
    if isinstance(value, list):
        return any(map(holds_commit_ts, value))
    if isinstance(value, dict):
        return any(map(holds_commit_ts, value.values()))
    return value is COMMIT_TS


def resolve_commit_ts(value: Value, ts: int) -> Value:
    """A copy in which `ts` stands for every unknown commit timestamp."""
    if isinstance(value, list):
        return [resolve_commit_ts(item, ts) for item in value]
    if isinstance(value, dict):
        return {name: resolve_commit_ts(item, ts) for name, item in value.items()}
    return ts if value is COMMIT_TS else value


def check_value_size(size_bytes: int, bytes_max: int) -> None:
    """Raises: ValueTooLargeError."""
    if size_bytes > bytes_max:
        raise bad_request(
            "ValueTooLargeError",
            f"Value is too large ({_render_bytes(size_bytes)} > "
            f"maximum size {_render_bytes(bytes_max)})",
        )


def check_array_length(length: int) -> None:
    """Raises: ArrayTooLong."""
    if length > ARRAY_LENGTH_MAX:
        raise bad_request(
            "ArrayTooLong",
            f"Array length is too long ({length} > maximum length {ARRAY_LENGTH_MAX})",
        )


def check_field_count(count: int) -> None:
    """Raises: TooManyFieldsError."""
    if count > OBJECT_FIELDS_MAX:
        raise bad_request(
            "TooManyFieldsError",
            f"Object has too many fields ({count} > maximum number {OBJECT_FIELDS_MAX})",
        )


def check_field_name(name: str) -> None:
    """Printable ASCII, at most 1024 characters, no leading `$`. Raises: InvalidFieldName."""
    # For ASCII text `isprintable` is exactly 0x20 to 0x7E.
    if (
        name.isascii()
        and name.isprintable()
        and name[:1] != "$"
        and len(name) <= FIELD_NAME_LENGTH_MAX
    ):
        return
    raise bad_request("InvalidFieldName", _field_name_violation(name))


def too_nested(levels: int) -> FenchelError:
    """The error for a value nested `levels` deep."""
    return bad_request(
        "TooNestedError",
        f"Value is too nested (nested {levels} levels deep > maximum nesting {VALUE_NESTING_MAX})",
    )


def _field_name_violation(name: str) -> str:
    if name.startswith("$"):
        return f"Field name {name} starts with '$', which is reserved."
    for character in name:
        if not " " <= character <= "~":
            return (
                f"Field name {name} has invalid character '{character}': "
                "Field names can only contain non-control ASCII characters"
            )
    return f"Field name is too long ({len(name)} > maximum length {FIELD_NAME_LENGTH_MAX})"


def _render_bytes(count: int) -> str:
    """`1.5 MiB`: two decimals at most."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB"):
        if amount >= 1024:
            amount, unit = amount / 1024, larger
    return f"{amount:.2f}".rstrip("0").rstrip(".") + f" {unit}"
