"""Names, values and limits of environment variables (deploy-protocol 3.3)."""

from __future__ import annotations

import pytest

from fenchel.database import Database
from fenchel.errors import FenchelError
from fenchel.model import (
    check_environment_variables,
    check_name,
    check_value,
    get_environment_variable,
    list_environment_variables,
    set_environment_variable,
)


@pytest.mark.parametrize("name", ["A", "_", "a1_B", "x" * 256])
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "EnvironmentVariableNameInvalid"),
        ("1a", "EnvironmentVariableNameInvalid"),
        ("a-b", "EnvironmentVariableNameInvalid"),
        ("A\n", "EnvironmentVariableNameInvalid"),
        ("x" * 257, "EnvironmentVariableNameTooLong"),
        ("CONVEX_CLOUD_URL", "EnvVarNameForbidden"),
        ("CONVEX_SITE_URL", "EnvVarNameForbidden"),
    ],
)
def test_bad_names(name: str, code: str) -> None:
    with pytest.raises(FenchelError, match=code):
        check_name(name)


def test_values_are_limited_in_bytes() -> None:
    check_value("A", "x" * 8_192)
    with pytest.raises(FenchelError, match="EnvironmentVariableValueTooLarge"):
        check_value("A", "\u00e9" * 4_097)


def test_all_variables_together_are_limited() -> None:
    check_environment_variables({f"V{n}": "" for n in range(512)})
    with pytest.raises(FenchelError, match="EnvVarLimitMet"):
        check_environment_variables({f"V{n}": "" for n in range(513)})
    with pytest.raises(FenchelError, match="EnvVarTotalSizeLimitMet"):
        check_environment_variables({f"V{n}": "x" * 8_000 for n in range(70)})


async def test_variables_are_set_changed_and_deleted(database: Database) -> None:
    tx = database.begin()
    await set_environment_variable(tx, "B", "2")
    await set_environment_variable(tx, "A", "1")
    await set_environment_variable(tx, "B", "3")
    await set_environment_variable(tx, "MISSING", None)
    assert await list_environment_variables(tx) == {"A": "1", "B": "3"}
    await set_environment_variable(tx, "A", None)
    assert await get_environment_variable(tx, "A") is None
    assert await get_environment_variable(tx, "B") == "3"


async def test_a_reader_depends_on_its_variable_only(database: Database) -> None:
    tx = database.begin()
    await get_environment_variable(tx, "A")
    token = database.token(tx)
    tx = database.begin()
    await set_environment_variable(tx, "B", "1")
    assert database.refresh(token, await database.commit(tx)) is not None
    tx = database.begin()
    await set_environment_variable(tx, "A", "1")
    assert database.refresh(token, await database.commit(tx)) is None
