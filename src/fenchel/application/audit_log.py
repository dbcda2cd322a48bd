"""Lines that functions write with `log.audit` (execution 2.8): one JSON object each, in the log of
the server under the name `fenchel.audit`, where an operator's collector picks them up.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fenchel.auth import Admin, Identity
from fenchel.definitions import FunctionPath

AUDIT_LOG = "fenchel.audit"
_log = logging.getLogger(AUDIT_LOG)


def emit_audit_lines(
    lines: Sequence[str], path: FunctionPath, variables: Mapping[str, Any]
) -> None:
    """Write them with these values of the variables that they name."""
    for line in lines:
        entry = {
            "function": path.stripped,
            "component": path.component,
            "requestId": variables["requestId"],
            "timestamp": variables["now"],
            "body": _fill_in(json.loads(line), variables),
        }
        _log.info("%s", json.dumps(entry, ensure_ascii=False))


def describe_actor(identity: Identity) -> dict[str, Any] | None:
    """Who called with an admin key, as far as that is known; None for everybody else."""
    if not isinstance(identity, Admin):
        return None
    user = identity.acting_as
    return {"type": "admin", "actingAs": None if user is None else user.token_identifier}


def _fill_in(value: Any, variables: Mapping[str, Any]) -> Any:
    match value:
        case {"$var": name}:
            return variables[name]
        case dict():
            return {key: _fill_in(item, variables) for key, item in value.items()}
        case list():
            return [_fill_in(item, variables) for item in value]
        case _:
            return value
