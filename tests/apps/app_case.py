"""What an app of the matrix expects: its `expected.json`, decoded.

A case is a folder below `cases` with the app and that file: the environment it needs, what the
push says, and then steps, one after the other. Texts may hold `{{oidc}}`, the address of an
identity provider, and `{{jwks}}`, its public keys as a data URL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

CASES = Path(__file__).resolve().parent / "cases"


class _Expectation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Every text of `shows` must be there, none of `hides`."""

    shows: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()


class Push(_Expectation, kw_only=True, frozen=True):
    """What `convex deploy` prints; a push that fails must leave the deployed code as it was."""

    fails: bool = False
    options: tuple[str, ...] = ()


class Call(_Expectation, tag_field="do", tag="call", kw_only=True, frozen=True):
    """One function over HTTP, in the encoding of the official clients.

    `kind` is the endpoint; "function" is that of `convex run`, which reaches internal functions
    too. `token` are the claims of a signed-in user. Either `gives` or `fails`, a part of the
    error's text.
    """

    kind: Literal["query", "mutation", "action", "function"]
    path: str
    args: dict[str, Any] = {}
    component: str | None = None
    token: dict[str, Any] | None = None
    gives: Any = msgspec.UNSET
    fails: str | None = None
    logs: tuple[str, ...] | None = None


class HttpCall(_Expectation, tag_field="do", tag="http", kw_only=True, frozen=True):
    """An HTTP action; `gives` is the whole body."""

    method: str = "GET"
    path: str
    body: str | None = None
    headers: dict[str, str] = {}
    status: int = 200
    gives: str | None = None
    has_headers: dict[str, str] = {}


class Advance(_Expectation, tag_field="do", tag="advance", kw_only=True, frozen=True):
    """Virtual time passes, and what falls due runs."""

    seconds: float


class Cli(_Expectation, tag_field="do", tag="cli", kw_only=True, frozen=True):
    """Another command of the official CLI, with its exit code."""

    arguments: tuple[str, ...]
    exit_code: int = 0
    gives: Any = msgspec.UNSET


class Edit(_Expectation, tag_field="do", tag="edit", kw_only=True, frozen=True):
    """The developer changes a file: `old` is there and becomes `new`."""

    file: str
    old: str
    new: str


class File(_Expectation, tag_field="do", tag="file", kw_only=True, frozen=True):
    """What a file in the app's folder holds."""

    file: str


Step = Call | HttpCall | Advance | Cli | Edit | File


class AppCase(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """`padding` are files that get one more export, a text of so many characters.

    `slow` are cases whose feature has tests of its own elsewhere: `make soak` runs them.
    """

    about: str
    slow: bool = False
    environment: dict[str, str] = {}
    padding: dict[str, int] = {}
    push: Push = Push()
    steps: tuple[Step, ...] = ()


def case_names() -> list[str]:
    return sorted(path.parent.name for path in CASES.glob("*/expected.json"))


def read_case(name: str, places: dict[str, str]) -> AppCase:
    """The case with `{{name}}` replaced by the value of `places`."""
    text = (CASES / name / "expected.json").read_text()
    for place, value in places.items():
        text = text.replace("{{" + place + "}}", value)
    return msgspec.json.decode(text, type=AppCase)
