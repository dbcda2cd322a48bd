"""Filter expressions (execution specification 2.6)."""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest

from fenchel.database.filter_expression import compile_filter
from fenchel.errors import FenchelError
from fenchel.values import Value

FIELD = {"$field": "a.b"}


def int64(value: int) -> dict[str, str]:
    return {"$integer": base64.b64encode(value.to_bytes(8, "little", signed=True)).decode()}


def literal(value: Any) -> dict[str, Any]:
    return {"$literal": value}


def equals(expression: Any, value: Any) -> dict[str, Any]:
    return {"$eq": [expression, literal(value)]}


@pytest.mark.parametrize(
    ("expression", "value", "accepts"),
    [
        (equals(FIELD, 1), {"a": {"b": 1.0}}, True),
        (equals(FIELD, 1), {"a": {"b": 1}}, False),
        (equals(FIELD, {"$undefined": None}), {"a": 5.0}, True),
        ({"$lt": [FIELD, literal(None)]}, {}, True),
        ({"$gte": [FIELD, literal(True)]}, {"a": {"b": "x"}}, True),
        ({"$neq": [FIELD, literal("x")]}, {"a": {"b": "x"}}, False),
        ({"$and": []}, {}, True),
        ({"$or": []}, {}, False),
        ({"$or": [literal(True), FIELD]}, {}, True),
        ({"$and": [literal(False), FIELD]}, {}, False),
        ({"$not": equals(FIELD, 1)}, {}, True),
        (equals({"$add": [FIELD, literal(2)]}, 3), {"a": {"b": 1.0}}, True),
        (equals({"$div": [literal(int64(-7)), literal(int64(2))]}, int64(-3)), {}, True),
        (equals({"$mod": [literal(int64(-7)), literal(int64(2))]}, int64(-1)), {}, True),
        (equals({"$mod": [literal(-7), literal(2)]}, -1), {}, True),
        (equals({"$neg": literal(2)}, -2), {}, True),
    ],
)
def test_values(expression: Any, value: dict[str, Value], accepts: bool) -> None:
    assert compile_filter(expression)(value) is accepts


def test_dividing_by_zero_follows_ieee754() -> None:
    infinite = {"$eq": [{"$div": [literal(-1), literal(0)]}, {"$field": "x"}]}
    assert compile_filter(infinite)({"x": -math.inf})


@pytest.mark.parametrize(
    ("op", "left", "right"),
    [
        ("$div", -0.0, 0.0),
        ("$mod", math.inf, 2.0),
        ("$sub", math.inf, math.inf),
        ("$mul", math.inf, 0.0),
        ("$add", -math.nan, 1.0),
    ],
)
def test_what_is_no_number_comes_behind_all_numbers(op: str, left: float, right: float) -> None:
    result = {op: [{"$field": "left"}, {"$field": "right"}]}
    keeps = compile_filter({"$gt": [result, {"$field": "most"}]})
    assert keeps({"left": left, "right": right, "most": math.inf})


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            {"$add": [literal(1), literal("a")]},
            'Cannot add 1.0 (type float64) and "a" (type string)',
        ),
        ({"$div": [literal(int64(1)), literal(int64(0))]}, "Cannot divide 1 by zero"),
        (literal("x"), 'Cannot use value "x" (type string) as a Boolean'),
    ],
)
def test_errors_of_evaluation(expression: Any, message: str) -> None:
    with pytest.raises(FenchelError) as caught:
        compile_filter(expression)({})
    assert (caught.value.code, caught.value.message) == ("EvalError", message)


@pytest.mark.parametrize(
    "expression", [5, {}, {"$nope": [1, 2]}, {"$eq": [literal(1)]}, {"$eq": 1}]
)
def test_malformed_expressions(expression: Any) -> None:
    with pytest.raises(FenchelError) as caught:
        compile_filter(expression)
    assert caught.value.code == "InvalidArgument"
