"""Settings as operators write them: `isolate.user_time_seconds_max=2`. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, get_type_hints

import msgspec

from fenchel.errors import FenchelError, bad_request
from fenchel.runtime.settings import Settings

_HELP = "`fenchel settings` lists all, with their bounds."


def with_values(settings: Settings, assignments: Sequence[str]) -> Settings:
    """`settings` with the assigned values, each `group.name=value`; lists are written with commas.

    Raises: bad request UnknownSetting, InvalidSetting.
    """
    for assignment in assignments:
        path, _, text = assignment.partition("=")
        group, _, name = path.partition(".")
        current = _fields_of(settings).get(group)
        if current is None or name not in _fields_of(current):
            raise bad_request("UnknownSetting", f"There is no setting {path!r}. {_HELP}")
        value = _parse(path, text, get_type_hints(type(current), include_extras=True)[name])
        changed = dataclasses.replace(current, **{name: value})
        settings = dataclasses.replace(settings, **{group: changed})
    return settings


def describe_settings(settings: Settings) -> Iterator[str]:
    """A line for each setting: name, value, bounds. The name ends with the unit."""
    for group, values in _fields_of(settings).items():
        hints = get_type_hints(type(values), include_extras=True)
        for name, value in _fields_of(values).items():
            text = ",".join(value) if isinstance(value, tuple) else value
            yield f"{group}.{name}={text}{_describe_bounds(hints[name])}"


def _parse(path: str, text: str, hint: Any) -> Any:
    is_list = hint == tuple[str, ...]
    try:
        value = msgspec.convert(text.split(",") if is_list else text, hint, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(path, text, str(error)) from error
    if isinstance(value, int | float) and not 0 <= value < float("inf"):
        raise _invalid(path, text, "Expected a number >= 0")
    return value


def _invalid(path: str, text: str, reason: str) -> FenchelError:
    return bad_request(
        "InvalidSetting", f"The setting {path} cannot be {text!r}: {reason}. {_HELP}"
    )


def _fields_of(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _describe_bounds(hint: Any) -> str:
    for bounds in getattr(hint, "__metadata__", ()):
        return f"  ({bounds.ge} to {bounds.le})"
    return ""
