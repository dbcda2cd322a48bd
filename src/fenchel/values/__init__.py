"""Convex values: types, limits, JSON forms, sizes and order. Pure."""

from fenchel.values.examination import Examined, examine_value
from fenchel.values.identifier import is_identifier
from fenchel.values.import_decoding import decode_export_json, decode_plain_json
from fenchel.values.json_decoding import (
    decode_json,
    decode_optional_value,
    decode_patch,
    decode_value,
    may_hold_commit_ts,
    may_hold_escapes,
    parse_json,
)
from fenchel.values.json_encoding import (
    canonical_json,
    convert_to_clean_json,
    convert_to_export_json,
    encode_clean_json,
    encode_export_json,
    encode_json,
    has_commit_ts,
    resolve_commit_ts_json,
)
from fenchel.values.rendering import render_string, render_value
from fenchel.values.sort_key import compare_values, encode_sort_key
from fenchel.values.value import (
    COMMIT_TS,
    INT64_MAX,
    INT64_MIN,
    UNDEFINED,
    CommitTsType,
    UndefinedType,
    Value,
    check_field_name,
    check_value_size,
    holds_commit_ts,
    resolve_commit_ts,
    value_size,
)

__all__ = [
    "COMMIT_TS",
    "INT64_MAX",
    "INT64_MIN",
    "UNDEFINED",
    "CommitTsType",
    "Examined",
    "UndefinedType",
    "Value",
    "canonical_json",
    "check_field_name",
    "check_value_size",
    "compare_values",
    "convert_to_clean_json",
    "convert_to_export_json",
    "decode_export_json",
    "decode_json",
    "decode_optional_value",
    "decode_patch",
    "decode_plain_json",
    "decode_value",
    "encode_clean_json",
    "encode_export_json",
    "encode_json",
    "encode_sort_key",
    "examine_value",
    "has_commit_ts",
    "holds_commit_ts",
    "is_identifier",
    "may_hold_commit_ts",
    "may_hold_escapes",
    "parse_json",
    "render_string",
    "render_value",
    "resolve_commit_ts",
    "resolve_commit_ts_json",
    "value_size",
]
