"""Values as error messages show them (database specification 5.4)."""

from __future__ import annotations

import math

from fenchel.values.value import CommitTsType, UndefinedType, Value

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def render_value(value: Value | UndefinedType) -> str:
    """`{a: 1.0, b: [null, "x"]}`: names sorted, floats with a point, strings quoted."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _render_float(value)
        case str():
            return render_string(value)
        case bytes():
            return 'b"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
        case list():
            return f"[{', '.join(map(render_value, value))}]"
        case dict():
            return (
                f"{{{', '.join(f'{name}: {render_value(value[name])}' for name in sorted(value))}}}"
            )
        case UndefinedType():
            return "undefined"
        case CommitTsType():
            return "commitTs"


def render_string(text: str) -> str:
    """Double-quoted, with escapes for quotes, backslashes and unprintable characters."""
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def _render_float(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    mantissa, exponent, power = repr(number).partition("e")
    # Python writes 1e-07 and 1e+16 where messages have 1e-7 and 1e16.
    return f"{mantissa}e{int(power)}" if exponent else mantissa
