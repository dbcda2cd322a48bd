"""The whole backend in this process: the real rooms behind the real edge."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fenchel.testing import running_backend

QUERY: dict[str, Any] = {"path": "messages:list", "args": {}}
ADD = {"type": "Add", "queryId": 0, "udfPath": "messages:list", "args": [{}]}


def tables_query(query_id: int) -> dict[str, Any]:
    args = [{"paginationOpts": {"cursor": None, "numItems": 10}}]
    path = "_system/cli/tables:default"
    return {"type": "Add", "queryId": query_id, "udfPath": path, "args": args}


@pytest.mark.parametrize("is_in_memory", [True, False])
async def test_it_answers_and_stops_without_a_trace(tmp_path: Path, is_in_memory: bool) -> None:
    others = asyncio.all_tasks()
    async with (
        running_backend(data_dir=None if is_in_memory else tmp_path) as backend,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(backend.url + "/version") as response:
            assert response.status == 200
        async with session.post(backend.url + "/api/query", json=QUERY) as response:
            body = await response.json()
            assert "ould not find" in body["errorMessage"]
    assert asyncio.all_tasks() <= others


async def test_the_same_data_can_be_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        async with running_backend(data_dir=tmp_path) as backend:
            assert backend.application.latest_ts() > 0


async def test_a_socket_subscribes_to_a_system_query_of_the_real_application() -> None:
    async with (
        running_backend() as backend,
        aiohttp.ClientSession() as session,
        session.ws_connect(backend.url + "/api/1.48.0/sync") as socket,
    ):
        authenticate = {
            "type": "Authenticate",
            "baseVersion": 0,
            "tokenType": "Admin",
            "value": backend.admin_key,
        }
        modify = {"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1}
        await socket.send_json(authenticate)
        await socket.send_json(modify | {"modifications": [tables_query(0), ADD | {"queryId": 1}]})
        changes: dict[int, Any] = {}
        while len(changes) < 2:
            transition = await socket.receive_json(timeout=30)
            changes |= {change["queryId"]: change for change in transition["modifications"]}
    assert changes[0]["value"]["page"] == []
    assert changes[1]["type"] == "QueryFailed"
