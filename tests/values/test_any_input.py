"""The codecs against anything: a value, or the developer's error; never another exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fenchel.errors import FenchelError
from fenchel.values import decode_json, decode_patch, decode_value, encode_json

# Lone surrogates can be written in JSON.
any_text = st.text(alphabet=st.characters(), max_size=40)
special_keys = st.sampled_from(
    ["$integer", "$float", "$bytes", "$undefined", "$commitTs", "$unknown", "_id", ""]
)
parsed_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(special_keys | any_text, inner),
    max_leaves=20,
)


def decode_or_refuse(decode: Callable[[Any], Any], given_input: Any) -> Any:
    """What it decodes to; None if it was refused properly."""
    try:
        return decode(given_input)
    except FenchelError as error:
        if not error.is_developer_error:
            raise
        return None


@given(any_text | st.binary(max_size=60))
def test_any_text_or_bytes(text: str | bytes) -> None:
    decode_or_refuse(decode_json, text)


@given(parsed_json)
def test_any_parsed_json(parsed: Any) -> None:
    value = decode_or_refuse(decode_value, parsed)
    encode_json(value)
    decode_or_refuse(decode_patch, parsed)


@given(parsed_json, st.booleans())
def test_any_json_text(parsed: Any, is_ascii: bool) -> None:
    decode_or_refuse(decode_json, json.dumps(parsed, ensure_ascii=is_ascii))


@given(parsed_json, st.data())
def test_any_truncated_json_text(parsed: Any, data: st.DataObject) -> None:
    text = json.dumps(parsed)
    decode_or_refuse(decode_json, text[: data.draw(st.integers(0, len(text)))])
