"""What analysis found in a module: functions, HTTP routes, crons (deploy-protocol specification
2.6, 2.7).

The JSON form is the one that the official CLI receives and that the module's row keeps.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec

from fenchel.definitions.validator import Validator, decode_validator
from fenchel.errors import bad_request
from fenchel.values import parse_json

UdfTypeName = Literal["Query", "Mutation", "Action"]


class Visibility(msgspec.Struct, frozen=True):
    kind: Literal["public", "internal"]


class SourcePosition(msgspec.Struct, frozen=True):
    """Where a function begins in the developer's source; line and column are 0-based."""

    path: str
    start_lineno: int
    start_col: int


class AnalyzedFunction(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`args` and `returns` are JSON texts of validators as the export wrote them ("null" for no
    validator); `visibility` is None for functions of very old packages."""

    name: str
    udf_type: UdfTypeName
    visibility: Visibility | None = None
    args: str | None = None
    returns: str | None = None
    pos: SourcePosition | None = None

    @property
    def is_internal(self) -> bool:
        return self.visibility is not None and self.visibility.kind == "internal"

    @property
    def args_validator(self) -> Validator | None:
        """None: any arguments. Raises: InvalidValidator (see `check_validators`)."""
        return _decode_validator_text(self.args)

    @property
    def returns_validator(self) -> Validator | None:
        """None: any result. Raises: InvalidValidator."""
        return _decode_validator_text(self.returns)


class HttpRoute(msgspec.Struct, frozen=True):
    """`path` ends in `*` for prefix routes."""

    path: str
    method: Literal["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


class AnalyzedHttpRoute(msgspec.Struct, frozen=True):
    route: HttpRoute
    pos: SourcePosition | None = None


class CronSpec(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`udf_args` are the bytes of the JSON text of the arguments array."""

    udf_path: str
    udf_args: list[int]
    cron_schedule: dict[str, str | int]


class AnalyzedCron(msgspec.Struct, frozen=True):
    identifier: str
    spec: CronSpec


class AnalyzedModule(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`http_routes` is set for `http.js` only, `cron_specs` for `crons.js` only."""

    functions: tuple[AnalyzedFunction, ...] = ()
    http_routes: tuple[AnalyzedHttpRoute, ...] | None = None
    cron_specs: tuple[AnalyzedCron, ...] | None = None

    def find(self, name: str) -> AnalyzedFunction | None:
        return next((function for function in self.functions if function.name == name), None)

    def check_validators(self) -> None:
        """Decode every validator once. Raises: InvalidValidator, InvalidRecordType."""
        for function in self.functions:
            _ = function.args_validator, function.returns_validator


_decoder = msgspec.json.Decoder(AnalyzedModule)


def decode_analyzed_module(text: str | bytes) -> AnalyzedModule:
    """Raises: InvalidModules if the text is not an analysis."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise bad_request("InvalidModules", f"Not a module analysis: {error}") from error


def encode_analyzed_module(module: AnalyzedModule) -> str:
    return msgspec.json.encode(module).decode()


@lru_cache(maxsize=4_096)
def _decode_validator_text(text: str | None) -> Validator | None:
    if text is None:
        return None
    parsed = parse_json(text)
    return None if parsed is None else decode_validator(parsed)
