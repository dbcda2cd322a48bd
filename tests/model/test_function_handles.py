"""Handles: one for each function, for ever (execution 6.5)."""

from __future__ import annotations

import pytest

from fenchel.database import Database
from fenchel.definitions import FunctionPath
from fenchel.errors import FenchelError
from fenchel.model import (
    decode_function_handle,
    encode_function_handle,
    replace_function_handles,
)

LIST = FunctionPath("", "messages.js", "list")
INNER = FunctionPath("hits/inner", "a/b.js", "default")


async def deploy(database: Database, *functions: FunctionPath) -> None:
    tx = database.begin()
    await replace_function_handles(tx, functions, now_ns=5)
    await database.commit(tx)


async def test_a_handle_leads_back_to_its_function(database: Database) -> None:
    await deploy(database, LIST, INNER)
    tx = database.begin()
    for path in (LIST, INNER):
        handle = await encode_function_handle(tx, path)
        assert handle.startswith("function://")
        assert handle.endswith(f"#{path.stripped}")
        assert await decode_function_handle(tx, handle) == path
        assert await decode_function_handle(tx, handle.partition("#")[0]) == path


async def test_a_handle_outlives_its_function(database: Database) -> None:
    await deploy(database, LIST)
    handle = await encode_function_handle(database.begin(), LIST)
    await deploy(database, INNER)
    with pytest.raises(FenchelError, match="FunctionHandleNotFound"):
        await decode_function_handle(database.begin(), handle)
    with pytest.raises(FenchelError, match="FunctionHandleNotFound"):
        await encode_function_handle(database.begin(), LIST)
    await deploy(database, LIST, INNER)
    assert await encode_function_handle(database.begin(), LIST) == handle


@pytest.mark.parametrize("handle", ["", "messages:list", "function://x#list", "function://#list"])
async def test_texts_that_are_no_handle(database: Database, handle: str) -> None:
    await deploy(database, LIST)
    with pytest.raises(FenchelError) as caught:
        await decode_function_handle(database.begin(), handle)
    assert caught.value.code == "FunctionHandleNotFound"
    assert caught.value.is_developer_error
