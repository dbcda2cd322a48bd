"""`_environment_variables`: names and values that the developer set, and the rules they obey."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from fenchel.database import Transaction
from fenchel.documents import Document
from fenchel.errors import FenchelError, bad_request
from fenchel.model.rows import decode_row, decode_stable_row, encode_row

_TABLE = "_environment_variables"
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NAME_CHARACTERS_MAX = 256
_VALUE_BYTES_MAX = 8_192
_COUNT_MAX = 512
_TOTAL_BYTES_MAX = 512 * 1_024
# Always set by the deployment itself (execution 3.9).
BUILT_IN_NAMES = frozenset({"CONVEX_CLOUD_URL", "CONVEX_SITE_URL"})


class EnvironmentVariable(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: str


async def list_environment_variables(tx: Transaction) -> dict[str, str]:
    """All variables, ascending by name; depends on the whole table."""
    rows = await tx.system().query(_TABLE, "by_name")
    variables = (decode_stable_row(row, EnvironmentVariable) for row in rows)
    return {variable.name: variable.value for variable in variables}


async def list_environment_variable_documents(tx: Transaction) -> list[Document]:
    """The rows with their system fields, ascending by name."""
    return await tx.system().query(_TABLE, "by_name")


async def get_environment_variable(tx: Transaction, name: str) -> str | None:
    """The value of one variable; depends on that name only."""
    rows = await tx.system().query(_TABLE, "by_name", [name], limit=1)
    return decode_row(rows[0], EnvironmentVariable).value if rows else None


async def set_environment_variable(tx: Transaction, name: str, value: str | None) -> None:
    """Set or, with None, delete one variable; deleting what is not there changes nothing."""
    tables = tx.system()
    rows = await tables.query(_TABLE, "by_name", [name], limit=1)
    if value is None:
        for row in rows:
            await tables.delete(_TABLE, row.id_text)
        return
    variable = encode_row(EnvironmentVariable(name=name, value=value))
    if rows:
        await tables.replace(_TABLE, rows[0].id_text, variable)
    else:
        await tables.insert(_TABLE, variable)


def check_name(name: str) -> None:
    """Raises the name errors of deploy-protocol 3.3."""
    if name in BUILT_IN_NAMES:
        raise bad_request(
            "EnvVarNameForbidden",
            f'Environment variable with name "{name}" is built-in and cannot be overridden.',
        )
    if len(name) > _NAME_CHARACTERS_MAX:
        raise bad_request(
            "EnvironmentVariableNameTooLong",
            f"Environment variable name has {len(name)} characters "
            f"(limit: {_NAME_CHARACTERS_MAX}). Choose a shorter name.",
        )
    if not _NAME.fullmatch(name):
        raise bad_request(
            "EnvironmentVariableNameInvalid",
            f'Environment variable name "{name}" is invalid: it must start with a letter or '
            "underscore and contain only letters, digits and underscores.",
        )


def check_value(name: str, value: str) -> None:
    """Raises EnvironmentVariableValueTooLarge."""
    size = len(value.encode())
    if size > _VALUE_BYTES_MAX:
        raise bad_request(
            "EnvironmentVariableValueTooLarge",
            f'The value of environment variable "{name}" has {size} bytes '
            f"(limit: {_VALUE_BYTES_MAX}). Store large values elsewhere.",
        )


def check_environment_variables(variables: Mapping[str, str]) -> None:
    """Raises the errors about the variables of a deployment taken together."""
    if len(variables) > _COUNT_MAX:
        raise _limit("EnvVarLimitMet", f"{len(variables)} environment variables", _COUNT_MAX, "")
    total = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
    if total > _TOTAL_BYTES_MAX:
        raise _limit(
            "EnvVarTotalSizeLimitMet", f"{total} bytes of variables", _TOTAL_BYTES_MAX, " bytes"
        )


def _limit(code: str, what: str, limit: int, unit: str) -> FenchelError:
    return bad_request(
        code, f"The change would leave {what} in this deployment (limit: {limit}{unit})."
    )
