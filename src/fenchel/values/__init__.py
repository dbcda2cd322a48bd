"""Convex values: types, limits, JSON forms, sizes and order. Pure."""

from fenchel.values.identifier import is_identifier
from fenchel.values.json_decoding import (
    decode_json,
    decode_optional_value,
    decode_patch,
    decode_value,
    parse_json,
)
from fenchel.values.json_encoding import (
    canonical_json,
    encode_clean_json,
    encode_export_json,
    encode_json,
)
from fenchel.values.rendering import render_string, render_value
from fenchel.values.sort_key import compare_values, encode_sort_key
from fenchel.values.value import (
    INT64_MAX,
    INT64_MIN,
    UNDEFINED,
    UndefinedType,
    Value,
    check_value,
    check_value_size,
    value_nesting,
    value_size,
)

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "UNDEFINED",
    "UndefinedType",
    "Value",
    "canonical_json",
    "check_value",
    "check_value_size",
    "compare_values",
    "decode_json",
    "decode_optional_value",
    "decode_patch",
    "decode_value",
    "encode_clean_json",
    "encode_export_json",
    "encode_json",
    "encode_sort_key",
    "is_identifier",
    "parse_json",
    "render_string",
    "render_value",
    "value_nesting",
    "value_size",
]
