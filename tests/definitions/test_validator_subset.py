"""Which changes of a document type need no look at the documents (database specification 5.7)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.definitions import check_validator, decode_validator
from fenchel.definitions.validator_subset import is_subset
from fenchel.documents import InternalId, encode_document_id

Parsed = dict[str, Any]
USER = encode_document_id(10_001, InternalId(bytes(16)))


class Tables:
    def table_name(self, table_number: int) -> str | None:
        return {10_001: "users", 10_002: "tasks"}.get(table_number)


def kind(name: str) -> Parsed:
    return {"type": name}


def literal(value: object) -> Parsed:
    return {"type": "literal", "value": value}


def table_id(name: str) -> Parsed:
    return {"type": "id", "tableName": name}


def array(element: Parsed) -> Parsed:
    return {"type": "array", "value": element}


def record(keys: Parsed, values: Parsed) -> Parsed:
    return {"type": "record", "keys": keys, "values": {"fieldType": values, "optional": False}}


def union(*members: Parsed) -> Parsed:
    return {"type": "union", "value": list(members)}


def obj(**fields: tuple[Parsed, bool]) -> Parsed:
    return {
        "type": "object",
        "value": {
            name: {"fieldType": parsed, "optional": optional}
            for name, (parsed, optional) in fields.items()
        },
    }


STRING, NUMBER, BIGINT, BOOLEAN = map(kind, ("string", "number", "bigint", "boolean"))
INT_ONE = {"$integer": "AQAAAAAAAAA="}


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (obj(a=(STRING, False)), kind("any")),
        (literal("x"), STRING),
        (literal(1.0), NUMBER),
        (literal(INT_ONE), BIGINT),
        (table_id("users"), STRING),
        (BIGINT, kind("commitTs")),
        (kind("commitTs"), BIGINT),
        (array(literal("x")), array(STRING)),
        (record(table_id("users"), literal(1.0)), record(STRING, NUMBER)),
        (obj(a=(STRING, False)), obj(a=(STRING, True))),
        (obj(), obj(a=(STRING, True))),
        (STRING, union(NUMBER, STRING)),
        (union(literal("x"), NUMBER), union(NUMBER, STRING)),
        (union(), STRING),
        (BOOLEAN, union(literal(True), literal(False))),
    ],
)
def test_a_wider_type_needs_no_look(narrow: Parsed, wide: Parsed) -> None:
    assert is_subset(decode_validator(narrow), decode_validator(wide))


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (kind("any"), STRING),
        (STRING, literal("x")),
        (STRING, table_id("users")),
        (table_id("users"), table_id("tasks")),
        (literal(1.0), literal(INT_ONE)),
        (literal(True), literal(1.0)),
        (literal(0.0), literal({"$float": "AAAAAAAAAIA="})),
        (obj(a=(STRING, True)), obj(a=(STRING, False))),
        (obj(a=(STRING, False)), obj()),
        (obj(), obj(a=(STRING, False))),
        (union(STRING, NUMBER), STRING),
        (BOOLEAN, union(literal(True))),
        (record(STRING, NUMBER), obj()),
    ],
)
def test_a_narrower_or_other_type_needs_one(narrow: Parsed, wide: Parsed) -> None:
    assert not is_subset(decode_validator(narrow), decode_validator(wide))


def containers(inner: st.SearchStrategy[Parsed]) -> st.SearchStrategy[Parsed]:
    fields = st.dictionaries(st.sampled_from("ab"), st.tuples(inner, st.booleans()))
    return st.one_of(
        inner.map(array),
        st.builds(record, st.sampled_from([STRING, table_id("users")]), inner),
        fields.map(lambda chosen: obj(**chosen)),
        st.lists(inner, max_size=3).map(lambda members: union(*members)),
    )


scalars = st.sampled_from(
    [
        *map(kind, ("null", "number", "bigint", "commitTs", "boolean", "string", "any")),
        *map(literal, ("x", 1.0, True, False, INT_ONE)),
        table_id("users"),
        table_id("tasks"),
    ]
)
validators = st.recursive(scalars, containers, max_leaves=6)
values = st.recursive(
    st.sampled_from([None, 1.0, 1, True, False, "x", USER]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["a", "b", USER]), inner, max_size=2),
    ),
    max_leaves=4,
)


@given(narrow=validators, wide=validators, examples=st.lists(values, min_size=5, max_size=20))
def test_what_matches_the_narrow_one_matches_the_wide_one(
    narrow: Parsed, wide: Parsed, examples: list[Any]
) -> None:
    first, second = decode_validator(narrow), decode_validator(wide)
    if is_subset(first, second):
        for value in examples:
            if check_validator(first, value, Tables()) is None:
                assert check_validator(second, value, Tables()) is None


@given(validators)
def test_every_validator_is_within_itself(parsed: Parsed) -> None:
    assert is_subset(decode_validator(parsed), decode_validator(parsed))
