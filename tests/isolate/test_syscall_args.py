"""Arguments of system calls: what fits is taken, what does not is the caller's error."""

from __future__ import annotations

import pytest
from msgspec import Raw

from fenchel.errors import FenchelError
from fenchel.isolate.syscall_args import (
    Get,
    NestedLimits,
    RunUdf,
    decode_args,
    decode_document,
    decode_patch_fields,
    encode_args_array,
    tighten,
)
from fenchel.runtime.settings import TransactionLimits
from fenchel.values import UNDEFINED


def test_unknown_fields_are_ignored() -> None:
    assert decode_args(Get, b'{"id":"x","version":"2"}', "db.get") == Get(id="x")


@pytest.mark.parametrize("text", [b"{}", b'{"id":1}', b"[]", b"{", b'{"id":"\xff"}'])
def test_arguments_that_do_not_fit_name_the_method(text: bytes) -> None:
    with pytest.raises(FenchelError, match=r"Invalid arguments for `db\.get`: "):
        decode_args(Get, text, "db.get")


def test_a_document_is_an_object() -> None:
    assert decode_document(Raw(b'{"a":1}'), "db.insert") == {"a": 1.0}
    with pytest.raises(FenchelError, match="must be an Object"):
        decode_document(Raw(b"[1]"), "db.insert")


def test_a_patch_removes_what_is_undefined() -> None:
    assert decode_patch_fields(Raw(b'{"a":1}'), "db.patch") == {"a": 1.0}
    text = Raw(b'{"a":{"$undefined":null},"b":{"$integer":"AQAAAAAAAAA="}}')
    assert decode_patch_fields(text, "db.patch") == {"a": UNDEFINED, "b": 1}
    for wrong in (b"[1]", b'["$"]', b'{"$x":1}'):
        with pytest.raises(FenchelError, match=r"must be an Object|starts with"):
            decode_patch_fields(Raw(wrong), "db.patch")


@pytest.mark.parametrize("text", [b'{"a":"\\ud800"}', b'{"a":"\\ud800","b":"$"}'])
def test_text_that_no_value_can_hold_is_an_invalid_argument(text: bytes) -> None:
    with pytest.raises(FenchelError, match=r"Invalid arguments for `db\.insert`: "):
        decode_document(Raw(text), "db.insert")


@pytest.mark.parametrize("text", ['{"a":1}', '[{"a":1}]'])
def test_function_arguments_become_an_array_of_one_object(text: str) -> None:
    assert encode_args_array(Raw(text.encode()), "scheduler") == '[{"a":1}]'


@pytest.mark.parametrize("text", ["1", "[]", "[1]", "[{},{}]", "{"])
def test_other_function_arguments_are_refused(text: str) -> None:
    with pytest.raises(FenchelError, match="Invalid arguments for `scheduler`"):
        encode_args_array(Raw(text.encode()), "scheduler")


def test_each_cap_lowers_its_limit_and_never_raises_it() -> None:
    limits = TransactionLimits()
    caps = {
        "bytesRead": 1,
        "bytesWritten": 2,
        "databaseQueries": 3,
        "documentsRead": 4,
        "documentsWritten": 5,
        "functionsScheduled": 6,
        "scheduledFunctionArgsBytes": 7,
        "filesRead": 8,
        "fileReadBytes": 9,
        "filesWritten": 10,
        "fileWriteBytes": 11,
    }
    low = tighten(limits, NestedLimits(**{_snake(name): cap for name, cap in caps.items()}))
    assert (low.bytes_read_max, low.bytes_written_max, low.intervals_read_max) == (1, 2, 3)
    assert (low.documents_read_max, low.documents_written_max) == (4, 5)
    assert (low.functions_scheduled_max, low.scheduled_args_bytes_max) == (6, 7)
    assert (low.files_read_max, low.file_bytes_read_max) == (8, 9)
    assert (low.files_written_max, low.file_bytes_written_max) == (10, 11)
    high = NestedLimits(**{_snake(name): 1e12 for name in caps})
    assert tighten(limits, high) == limits


def test_limits_of_a_nested_call_are_read_by_their_names_in_javascript() -> None:
    text = b'{"udfType":"query","args":{},"transactionLimits":{"databaseQueries":3}}'
    assert decode_args(RunUdf, text, "runUdf").transaction_limits.database_queries == 3


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
