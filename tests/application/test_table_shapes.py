"""Shapes of documents (deploy-protocol 3.11)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fenchel.application.table_shapes import ShapeBuilder

NUMBER = {"type": "Float64", "float64Range": {"hasSpecialValues": False}}
ANY_NUMBER = {"type": "Float64", "float64Range": {"hasSpecialValues": True}}
TEXT = {"type": "String"}


def shape_of(*values: Any) -> Any:
    builder = ShapeBuilder(name_table=lambda text: "notes" if text == "id" else None)
    for value in values:
        builder.add(value)
    return builder.build()


def fields(*, optional: bool = False, **shapes: Any) -> list[Any]:
    return [
        {"fieldName": name, "optional": optional, "shape": shape} for name, shape in shapes.items()
    ]


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        ((), {"type": "Never"}),
        ((None,), {"type": "Null"}),
        ((True, False), {"type": "Boolean"}),
        ((1, 2), {"type": "Int64"}),
        ((1.0, 2.5), NUMBER),
        ((1.0, math.inf, 2.0), ANY_NUMBER),
        ((b"",), {"type": "Bytes"}),
        (("id",), {"type": "Id", "tableName": "notes"}),
        (("id", "text"), {"type": "Union", "shapes": [{"type": "Id", "tableName": "notes"}, TEXT]}),
        (([],), {"type": "Array", "shape": {"type": "Never"}}),
        (([1.0], ["a"]), {"type": "Array", "shape": {"type": "Union", "shapes": [NUMBER, TEXT]}}),
        (({"a": 1.0}, {"a": 2.0}), {"type": "Object", "fields": fields(a=NUMBER)}),
        (({"a": 1.0}, {}), {"type": "Object", "fields": fields(optional=True, a=NUMBER)}),
        ((True, 1), {"type": "Union", "shapes": [{"type": "Boolean"}, {"type": "Int64"}]}),
    ],
)
def test_values_have_their_smallest_shape(values: tuple[Any, ...], shape: Any) -> None:
    assert shape_of(*values) == shape


def test_objects_with_many_names_are_records() -> None:
    values: list[Any] = [1.0, math.nan, [1.0], ["a"], {"deep": [None]}]
    record = shape_of({f"name {n}": values[n % 5] for n in range(100)})
    assert record["keyShape"] == TEXT
    assert record["valueShape"]["shapes"] == [
        ANY_NUMBER,
        {"type": "Array", "shape": {"type": "Union", "shapes": [NUMBER, TEXT]}},
        {
            "type": "Object",
            "fields": fields(deep={"type": "Array", "shape": {"type": "Null"}}),
        },
    ]
