"""Documents and their system fields (database specification 3.4)."""

import math

import pytest

from fenchel.documents import (
    Document,
    check_document_value,
    encode_document_id,
    with_system_fields,
    without_system_fields,
)
from fenchel.errors import FenchelError

INTERNAL = bytes(range(16))
ID = encode_document_id(10001, INTERNAL)
SYSTEM = {"_id": ID, "_creationTime": 1700000000000.25}


def error_of(function, *arguments, **named):
    with pytest.raises(FenchelError) as caught:
        function(*arguments, **named)
    return caught.value


def test_a_document_keeps_its_canonical_json_and_size():
    document = Document.create(b"t" * 16, 10001, INTERNAL, {"b": 1, **SYSTEM})
    assert document.value_json == (
        f'{{"_creationTime":1700000000000.25,"_id":"{ID}","b":{{"$integer":"AQAAAAAAAAA="}}}}'
    )
    assert document.size_bytes == 2 + 38 + 23 + 11
    assert (document.id_text, document.creation_time) == (ID, 1700000000000.25)


def test_a_document_from_storage_decodes_its_value_once():
    created = Document.create(b"t" * 16, 10001, INTERNAL, {"b": 1, **SYSTEM})
    stored = Document(
        tablet_id=created.tablet_id,
        internal_id=created.internal_id,
        id_text=created.id_text,
        creation_time=created.creation_time,
        value_json=created.value_json,
        size_bytes=created.size_bytes,
    )
    assert stored == created
    assert stored.value == {"b": 1, **SYSTEM}
    assert stored.value is stored.value


def test_creating_a_document_under_another_id_is_a_bug():
    with pytest.raises(AssertionError):
        Document.create(b"t" * 16, 10002, INTERNAL, dict(SYSTEM))


def test_system_fields_are_added_and_may_be_given_back_unchanged():
    assert with_system_fields({"a": 1}, id_text=ID, creation_time=1.5) == {
        "a": 1,
        "_id": ID,
        "_creationTime": 1.5,
    }
    given = {"a": 1, "_id": ID, "_creationTime": 1.5}
    assert with_system_fields(given, id_text=ID, creation_time=1.5) == given
    assert without_system_fields(given) == {"a": 1}


def test_other_system_fields_are_refused():
    error = error_of(with_system_fields, {"_id": "x"}, id_text=ID, creation_time=1.5)
    assert error.code == "InvalidIdError"
    assert error.message == f"Provided document ID {ID} doesn't match '_id' field \"x\""
    for time in (2.5, 1, None):
        error = error_of(with_system_fields, {"_creationTime": time}, id_text=ID, creation_time=1.0)
        assert error.code == "InvalidCreationTimeError"
    assert error.message == (
        "Provided creation time 1.0 doesn't match '_creationTime' field in {_creationTime: null}"
    )


def test_a_good_document_passes():
    check_document_value({"": 1, "a b": {"_x": 1}, **SYSTEM})


@pytest.mark.parametrize(
    ("value", "violations"),
    [
        (
            {"_b": 1, "_a": 1, **SYSTEM},
            "\n ".join(
                f"Field '{name}' starts with an underscore, "
                "which is only allowed for system fields like '_id'"
                for name in ("_a", "_b")
            ),
        ),
        ({}, "The '_id' field is missing\n The '_creationTime' field is missing"),
        ({"_id": 1, "_creationTime": 1.0}, "The '_id' field 1 must be an Id"),
        (
            {"_id": ID, "_creationTime": 1},
            "The '_creationTime' field should be a float, is 1",
        ),
        *(
            (
                {"_id": ID, "_creationTime": time},
                f"The '_creationTime' field should be a timestamp in milliseconds, is {text}",
            )
            for time, text in [
                (0.0, "0.0"),
                (-0.0, "-0.0"),
                (math.nan, "NaN"),
                (math.inf, "inf"),
                (2.0**53, "9007199254740992.0"),
            ]
        ),
    ],
)
def test_violations_are_named_together(value, violations):
    error = error_of(check_document_value, value)
    assert error.code == "InvalidDocumentError"
    assert error.message.split(" isn't a valid document: ")[1] == violations


def test_nesting_and_size_of_a_document():
    deep = {}
    for _ in range(15):
        deep = {"a": deep}
    check_document_value({**deep, **SYSTEM})
    error = error_of(check_document_value, {"a": deep, **SYSTEM})
    assert error.message == "Document is too nested (nested 17 levels deep > maximum nesting 16)"
    fitting = (1 << 20) - 2 - 38 - 23 - 4
    check_document_value({"a": "x" * fitting, **SYSTEM})
    error = error_of(check_document_value, {"a": "x" * (fitting + 1), **SYSTEM})
    assert error.code == "ValueTooLargeError"
    error = error_of(check_document_value, {"a": "x" * (3 << 19), **SYSTEM})
    assert error.message == "Value is too large (1.5 MiB > maximum size 1 MiB)"
