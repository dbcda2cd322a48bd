"""Commit timestamps that are not known yet, `{"$commitTs": null}` (database specification 7.7)."""

import pytest

from fenchel.errors import FenchelError
from fenchel.values import (
    COMMIT_TS,
    INT64_MAX,
    compare_values,
    decode_export_json,
    decode_json,
    decode_optional_value,
    decode_patch,
    decode_plain_json,
    decode_value,
    encode_clean_json,
    encode_export_json,
    encode_json,
    has_commit_ts,
    render_value,
    resolve_commit_ts_json,
    value_size,
)

TEXT = '{"a":{"$commitTs":null},"b":[1.0,{"$commitTs":null}]}'
VALUE = {"a": COMMIT_TS, "b": [1.0, COMMIT_TS]}


def test_it_passes_where_it_is_allowed():
    assert decode_json(TEXT, allows_commit_ts=True) == VALUE
    assert encode_json(VALUE) == TEXT
    assert decode_optional_value({"$commitTs": None}) is COMMIT_TS
    assert decode_patch({"a": {"$commitTs": None}}) == {"a": COMMIT_TS}


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.encode(),
        '[{"$commit\\u0054s":null}]',
        '[{"\\u0024commitTs":null}]',
        b'[{"\\u0024commitTs":null}]',
    ],
)
def test_it_is_refused_everywhere_else(text):
    for decode in (decode_json, decode_export_json, decode_plain_json):
        with pytest.raises(FenchelError):
            decode(text)
    with pytest.raises(FenchelError) as caught:
        decode_value({"a": [{"$commitTs": None}]})
    assert caught.value.code == "InvalidConvexValue"
    assert "`db.vars.commitTs`" in caught.value.message


def test_it_takes_nothing_but_null():
    with pytest.raises(FenchelError):
        decode_json('{"$commitTs":1}', allows_commit_ts=True)


def test_it_counts_and_sorts_as_the_greatest_int64():
    assert value_size(COMMIT_TS) == 9
    assert compare_values(COMMIT_TS, INT64_MAX) == 0
    assert compare_values(COMMIT_TS, INT64_MAX - 1) == 1
    assert compare_values(COMMIT_TS, -1.0) == -1
    assert render_value(VALUE) == "{a: commitTs, b: [1.0, commitTs]}"


def test_every_place_gets_the_timestamp():
    assert has_commit_ts(TEXT)
    resolved = resolve_commit_ts_json(TEXT, 5)
    assert decode_json(resolved) == {"a": 5, "b": [1.0, 5]}
    assert not has_commit_ts(resolved)
    assert resolve_commit_ts_json(resolved, 6) is resolved


def test_a_string_that_looks_like_it_stays_a_string():
    text = encode_json(['{"$commitTs":null}'])
    assert not has_commit_ts(text)
    assert decode_json(text) == ['{"$commitTs":null}']


def test_what_leaves_the_database_cannot_hold_it():
    for encode in (encode_clean_json, encode_export_json):
        with pytest.raises(AssertionError):
            encode(VALUE)
