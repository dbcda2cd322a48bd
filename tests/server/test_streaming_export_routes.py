"""The endpoints of connectors that copy a deployment (database specification 10.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fenchel.database import Database
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import SnapshotSettings
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.routing import Routes
from fenchel.server.streaming_export_routes import StreamingExportHandlers
from fenchel.values import Value
from tests.application.snapshots import Snapshots, running_snapshots
from tests.database.helpers import object_type, push, schema
from tests.server.fakes import ADMIN, READER, Edge, open_edge

DEFAULTS = ("_component", "_table", "_ts", "_deleted")


@dataclass(frozen=True, slots=True)
class Deployment:
    edge: Edge
    snapshots: Snapshots

    @property
    def database(self) -> Database:
        return self.snapshots.database

    async def get(self, path: str, *, headers: Any = READER, **query: str) -> tuple[int, Any]:
        session = self.edge.session
        url = f"{self.edge.url}/api/{path}"
        async with session.get(url, headers=headers, params=query) as response:
            return response.status, await response.json()

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        session, url = self.edge.session, f"{self.edge.url}/api/{path}"
        async with session.post(url, headers=READER, json=body) as response:
            return response.status, await response.json()


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    settings = SnapshotSettings(streaming_snapshot_rows=2, streaming_change_rows=2)
    runtime = Runtime(settings=Settings(snapshot=settings))
    async with running_snapshots(runtime) as snapshots:

        def routes(authenticator: RequestAuthenticator) -> list[Routes]:
            handlers = StreamingExportHandlers(
                exports=snapshots.streaming,
                sync=snapshots.sync,
                authenticator=authenticator,
                body_bytes_max=10_000,
            )
            return [handlers.routes]

        async with open_edge(more_routes=routes) as edge:
            yield Deployment(edge, snapshots)


async def test_a_snapshot_and_what_changed_since(deployment: Deployment) -> None:
    values: list[dict[str, Value]] = [{"n": float(n), "big": n, "data": b"\x00"} for n in range(3)]
    ids = await deployment.snapshots.insert("t", *values)
    written_ts = deployment.database.latest_ts()
    status, page = await deployment.get("list_snapshot")
    assert (status, page["hasMore"], len(page["values"])) == (200, True, 2)
    assert page["snapshot"] == written_ts
    at = {"snapshot": str(page["snapshot"]), "cursor": page["cursor"]}
    status, rest = await deployment.get("list_snapshot", **at)
    assert (status, rest["hasMore"], rest["cursor"]) == (200, False, None)
    found = {value["_id"]: value for value in (*page["values"], *rest["values"])}
    assert found.keys() == set(ids)
    document = found[ids[2]]
    assert document.pop("_creationTime") > 0
    assert document == {
        "_component": "",
        "_table": "t",
        "_ts": written_ts,
        "_id": ids[2],
        "n": 2.0,
        "big": "2",
        "data": "AA==",
    }
    tx = deployment.database.begin()
    await tx.user().delete(ids[0])
    await deployment.database.commit(tx)
    status, deltas = await deployment.get("document_deltas", cursor=str(page["snapshot"]))
    deleted_ts = deployment.database.latest_ts()
    assert (status, deltas) == (
        200,
        {
            "values": [
                {
                    "_component": "",
                    "_table": "t",
                    "_ts": deleted_ts,
                    "_deleted": True,
                    "_id": ids[0],
                }
            ],
            "cursor": deleted_ts,
            "hasMore": False,
        },
    )


async def test_the_lossless_format_and_arguments_in_a_body(deployment: Deployment) -> None:
    [only] = await deployment.snapshots.insert("t", {"big": 2, "secret": "s"})
    await deployment.snapshots.insert("u", {"n": 1.0})
    selection = {
        "_other": "excluded",
        "": {"_other": "excluded", "t": {"_other": "included", "secret": "excluded"}},
    }
    body: dict[str, Any] = {"selection": selection, "format": "convex_encoded_json"}
    status, page = await deployment.post("list_snapshot", body)
    assert status == 200
    [document] = page["values"]
    assert document["_id"] == only
    assert document["big"] == {"$integer": "AgAAAAAAAAA="}
    assert "secret" not in document
    cursor = page["snapshot"] - 1
    status, deltas = await deployment.post("document_deltas", {**body, "cursor": cursor})
    assert (status, deltas["values"]) == (200, [])
    status, deltas = await deployment.post(
        "document_deltas", {"cursor": cursor, "tableName": "u", "component": ""}
    )
    assert [value["_deleted"] for value in deltas["values"]] == [False]


async def test_data_sync(deployment: Deployment) -> None:
    ids = await deployment.snapshots.insert("t", {"n": 1.0, "big": 2}, {"n": 2.0}, {"n": 3.0})
    written_ts = deployment.database.latest_ts()
    status, page = await deployment.post("v1/data/sync", {})
    assert (status, page["status"]) == (200, {"type": "snapshotting"})
    assert page["truncates"] == [{"component": "", "table": "t"}]
    cursor, sync_id = page["pagination"]["nextCursor"], page["syncId"]
    status, rest = await deployment.post("v1/data/sync", {"cursor": cursor})
    assert rest["status"] == {"type": "upToDate", "snapshotTs": written_ts}
    assert (rest["truncates"], rest["syncId"], rest["pagination"]["hasMore"]) == ([], sync_id, True)
    found = {value["value"]["_id"]: value for value in page["values"] + rest["values"]}
    assert found.keys() == set(ids)
    first = found[ids[0]]
    assert first["value"].pop("_creationTime") > 0
    assert first == {
        "component": "",
        "table": "t",
        "ts": written_ts,
        "deleted": False,
        "value": {"_id": ids[0], "n": 1.0, "big": 2},
    }
    tx = deployment.database.begin()
    await tx.user().delete(ids[0])
    await deployment.database.commit(tx)
    cursor = rest["pagination"]["nextCursor"]
    _, news = await deployment.post("v1/data/sync", {"cursor": cursor})
    assert [(v["deleted"], v["value"]) for v in news["values"]] == [(True, {"_id": ids[0]})]


async def test_what_the_tables_look_like(deployment: Deployment) -> None:
    await deployment.snapshots.insert("loose", {"n": 1.0}, {"m": 2}, {"n": 3.0})
    await push(deployment.database, schema({"strict": {"type": object_type(text="string")}}))
    tx = deployment.database.begin()
    await tx.user("child").insert("loose", {"x": 1.0})
    await deployment.database.commit(tx)
    _, columns = await deployment.get("get_table_column_names")
    described = {
        component: {table["name"]: table["columns"] for table in tables}
        for component, tables in columns["byComponent"].items()
    }
    assert described == {
        "": {
            "loose": ["_creationTime", "_id", "m", "n"],
            "strict": ["_creationTime", "_id", "text"],
        },
        "child": {"loose": ["_creationTime", "_id", "x"]},
    }
    status, schemas = await deployment.get("json_schemas", deltaSchema="true", format="json")
    assert (status, set(schemas)) == (200, {"loose", "strict"})
    assert schemas["loose"]["properties"]["m"]["type"] == "string"
    assert set(DEFAULTS) <= schemas["strict"]["properties"].keys()
    _, schemas = await deployment.get(
        "json_schemas", byComponent="true", format="convex_encoded_json"
    )
    assert schemas[""]["loose"]["properties"]["m"]["type"] == "object"
    assert "_ts" not in schemas["child"]["loose"]["properties"]


async def test_whether_it_is_allowed(deployment: Deployment) -> None:
    assert await deployment.get("test_streaming_export_connection", headers=ADMIN) == (200, None)
    assert await deployment.get("test_streaming_export_connection") == (200, None)


@pytest.mark.parametrize(
    "path",
    [
        *("test_streaming_export_connection", "list_snapshot", "document_deltas"),
        *("json_schemas", "get_table_column_names"),
    ],
)
async def test_only_admins(deployment: Deployment, path: str) -> None:
    status, error = await deployment.get(path, headers={})
    assert (status, error["code"]) == (403, "BadDeployKey")


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("document_deltas", {}, "DocumentDeltasCursorRequired"),
        ("document_deltas", {"cursor": "x"}, "BadQueryArgs"),
        ("document_deltas", {"cursor": "-1"}, "BadQueryArgs"),
        ("document_deltas", {"cursor": "٣"}, "BadQueryArgs"),
        ("document_deltas", {"cursor": "9" * 19}, "BadQueryArgs"),
        ("document_deltas", {"cursor": "9" * 10_000}, "BadQueryArgs"),
        ("document_deltas", {"cursor": "0", "format": "xml"}, "BadFormat"),
        ("list_snapshot", {"snapshot": "1.5"}, "BadQueryArgs"),
        ("list_snapshot", {"snapshot": "1"}, "SnapshotTooOld"),
        ("list_snapshot", {"snapshot": str((1 << 63) - 1)}, "SnapshotTooNew"),
        ("list_snapshot", {"cursor": "x"}, "InvalidListSnapshotCursor"),
        ("list_snapshot", {"format": "export_json"}, "BadFormat"),
        ("json_schemas", {"deltaSchema": "yes"}, "BadQueryArgs"),
        ("json_schemas", {"format": "xml"}, "BadFormat"),
    ],
)
async def test_bad_queries(
    deployment: Deployment, path: str, query: dict[str, str], code: str
) -> None:
    status, error = await deployment.get(path, **query)
    assert (status, error["code"]) == (400, code)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("list_snapshot", [], "BadJsonBody"),
        ("list_snapshot", {"snapshot": "x"}, "BadJsonBody"),
        ("list_snapshot", {"snapshot": -1}, "BadQueryArgs"),
        ("list_snapshot", {"snapshot": 1 << 70}, "BadQueryArgs"),
        ("list_snapshot", {"cursor": 5}, "BadQueryArgs"),
        ("list_snapshot", {"selection": None}, "BadSelection"),
        ("v1/data/sync", {"cursor": "x"}, "InvalidDataSyncCursor"),
        ("v1/data/sync", {"cursor": 5}, "BadJsonBody"),
        ("v1/data/sync", {"selection": "all"}, "BadSelection"),
        ("document_deltas", {"cursor": -1}, "BadQueryArgs"),
        ("document_deltas", {"cursor": "x"}, "BadQueryArgs"),
        ("document_deltas", {"cursor": 0, "selection": {}}, "BadSelection"),
    ],
)
async def test_bad_bodies(deployment: Deployment, path: str, body: Any, code: str) -> None:
    status, error = await deployment.post(path, body)
    assert (status, error["code"]) == (400, code)
