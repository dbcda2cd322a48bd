"""Filters of queries: from the expression JSON to a function of the document's value.

Comparisons use the total order of values; arithmetic and logic are strict about types. Source:
execution specification 2.6.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

from fenchel.documents import decode_field_path, get_field
from fenchel.errors import FenchelError, bad_request
from fenchel.values import (
    INT64_MAX,
    INT64_MIN,
    CommitTsType,
    UndefinedType,
    Value,
    compare_values,
    decode_optional_value,
    render_value,
)

Operand: TypeAlias = "Value | UndefinedType"
Evaluate: TypeAlias = "Callable[[Value], Operand]"

_NESTING_MAX = 64
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "$eq": operator.eq,
    "$neq": operator.ne,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
# Verb and connecting word of the error message; the verbs are the reference's.
_ARITHMETIC = {
    "$add": ("add", "and"),
    "$sub": ("subtract", "and"),
    "$mul": ("multiply", "and"),
    "$div": ("divide", "by"),
    "$mod": ("modulo", "by"),
}


def compile_filter(parsed: Any) -> Callable[[Value], bool]:
    """Whether a document's value passes. Raises: InvalidArgument if the expression is malformed;
    the function raises EvalError if the expression does not fit the value."""
    evaluate = _compile(parsed, 0)
    return lambda value: _as_boolean(evaluate(value))


def _compile(parsed: Any, level: int) -> Evaluate:
    if not isinstance(parsed, dict) or len(parsed) != 1 or level > _NESTING_MAX:
        raise _invalid("expected an object with one operator")
    ((name, argument),) = parsed.items()
    if name == "$field":
        return _compile_field(argument)
    if name == "$literal":
        literal = decode_optional_value(argument)
        return lambda _: literal
    if name in ("$not", "$neg"):
        inner = _compile(argument, level + 1)
        if name == "$not":
            return lambda value: not _as_boolean(inner(value))
        return lambda value: _negate(inner(value))
    if not isinstance(argument, list):
        raise _invalid(f"{name} takes a list")
    operands = [_compile(item, level + 1) for item in argument]
    if name in ("$and", "$or"):
        return _compile_logic(name, operands)
    if len(operands) != 2:
        raise _invalid(f"{name} takes two operands")
    if name in _COMPARISONS:
        return _compile_comparison(_COMPARISONS[name], *operands)
    if name in _ARITHMETIC:
        left, right = operands
        return lambda value: _calculate(name, left(value), right(value))
    raise _invalid(f"unknown operator {name}")


def _compile_field(argument: Any) -> Evaluate:
    if not isinstance(argument, str):
        raise _invalid("$field takes a field path")
    path = decode_field_path(argument)
    return lambda value: get_field(value, path)


def _compile_comparison(
    accept: Callable[[int, int], bool], left: Evaluate, right: Evaluate
) -> Evaluate:
    return lambda value: accept(compare_values(left(value), right(value)), 0)


def _compile_logic(name: str, operands: list[Evaluate]) -> Evaluate:
    """Left to right, stopping at the first that decides."""
    if name == "$and":
        return lambda value: all(_as_boolean(operand(value)) for operand in operands)
    return lambda value: any(_as_boolean(operand(value)) for operand in operands)


def _as_boolean(value: Operand) -> bool:
    if isinstance(value, bool):
        return value
    raise _eval_error(f"Cannot use value {_describe(value)} as a Boolean")


def _calculate(name: str, left: Operand, right: Operand) -> Value:
    verb, joiner = _ARITHMETIC[name]
    if type(left) is float and type(right) is float:
        return _calculate_float(name, left, right)
    if type(left) is not int or type(right) is not int:
        raise _eval_error(f"Cannot {verb} {_describe(left)} {joiner} {_describe(right)}")
    if right == 0 and name in ("$div", "$mod"):
        raise _eval_error(f"Cannot {verb} {left} by zero")
    result = _calculate_int(name, left, right)
    if not INT64_MIN <= result <= INT64_MAX:
        raise _eval_error(
            f"Cannot {verb} {_describe(left)} {joiner} {_describe(right)}: "
            "the result is out of range for Int64"
        )
    return result


def _calculate_float(name: str, left: float, right: float) -> float:
    """Never a negative NaN, which would come before all numbers: processors differ there."""
    result = _calculate_ieee(name, left, right)
    return math.nan if math.isnan(result) else result


def _calculate_ieee(name: str, left: float, right: float) -> float:
    match name:
        case "$add":
            return left + right
        case "$sub":
            return left - right
        case "$mul":
            return left * right
        case "$div":
            return _divide(left, right)
        case _:
            if right == 0 or math.isinf(left):
                return math.nan
            return math.fmod(left, right)


def _divide(left: float, right: float) -> float:
    """IEEE 754 division, where zero is a divisor."""
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _calculate_int(name: str, left: int, right: int) -> int:
    match name:
        case "$add":
            return left + right
        case "$sub":
            return left - right
        case "$mul":
            return left * right
        case "$div":
            # Toward zero, unlike Python's.
            quotient = abs(left) // abs(right)
            return quotient if (left < 0) == (right < 0) else -quotient
        case _:
            return int(math.copysign(1, left)) * (abs(left) % abs(right))


def _negate(value: Operand) -> Value:
    if type(value) is float:
        return -value
    if type(value) is int and value != INT64_MIN:
        return -value
    raise _eval_error(f"Cannot negate {_describe(value)}")


def _describe(value: Operand) -> str:
    return f"{render_value(value)} (type {_type_name(value)})"


def _type_name(value: Operand) -> str:
    match value:
        case UndefinedType():
            return "undefined"
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "int64"
        case float():
            return "float64"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case list():
            return "array"
        case dict():
            return "object"
        case CommitTsType():
            return "int64"


def _eval_error(message: str) -> FenchelError:
    return bad_request("EvalError", message)


def _invalid(reason: str) -> FenchelError:
    return bad_request("InvalidArgument", f"Invalid argument `query` for `queryStream`: {reason}")
