"""The endpoints of `convex export` and `convex import` (database specification 10.3 and 10.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.export_routes import ExportHandlers
from fenchel.server.import_routes import ImportHandlers
from fenchel.server.routing import Routes
from tests.application.snapshots import Snapshots, running_snapshots, unzip
from tests.server.fakes import ADMIN, READER, Edge, open_edge

PART_BYTES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Deployment:
    edge: Edge
    snapshots: Snapshots

    async def post(self, path: str, *, headers: Any = ADMIN, **options: Any) -> tuple[int, Any]:
        """Status and body; JSON is decoded."""
        session = self.edge.session
        async with session.post(self.edge.url + path, headers=headers, **options) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text())

    async def upload(self, *parts: bytes, target: dict[str, Any]) -> tuple[int, Any]:
        _, started = await self.post("/api/import/start_upload")
        token = started["uploadToken"]
        tokens = []
        for number, part in enumerate(parts, 1):
            path = f"/api/import/upload_part?uploadToken={token}&partNumber={number}"
            _, part_token = await self.post(path, data=part)
            tokens.append(part_token)
        body = {"import": target, "uploadToken": token, "partTokens": tokens}
        return await self.post("/api/import/finish_upload", json=body)


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    async with running_snapshots() as snapshots:

        def routes(authenticator: RequestAuthenticator) -> list[Routes]:
            exports = ExportHandlers(
                exports=snapshots.exports,
                instance_name="test-instance",
                authenticator=authenticator,
                body_bytes_max=1_000,
            )
            imports = ImportHandlers(
                imports=snapshots.imports,
                authenticator=authenticator,
                body_bytes_max=1_000,
                part_bytes_max=PART_BYTES_MAX,
            )
            return [exports.routes, imports.routes]

        async with open_edge(more_routes=routes) as edge:
            yield Deployment(edge, snapshots)


class TestExport:
    async def test_an_export_is_requested_and_downloaded(self, deployment: Deployment) -> None:
        await deployment.snapshots.insert("t", {"text": "x" * 1_000_000})
        path = "/api/export/request/zip?includeStorage=true"
        assert await deployment.post(path) == (200, "")
        await deployment.snapshots.wait_exported()
        row = await deployment.snapshots.latest_export()
        url = f"{deployment.edge.url}/api/export/zip/{row['start_ts']}"
        async with deployment.edge.session.get(url, headers=READER) as response:
            assert response.status == 200
            content = await response.read()
            headers = response.headers
        assert "t/documents.jsonl" in unzip(content)
        name = f"snapshot_test-instance_{row['start_ts']}.zip"
        assert headers["content-disposition"] == f"attachment; filename={name}"
        assert headers["cache-control"] == "private, max-age=2592000"
        assert int(headers["content-length"]) == len(content) == row["size"]

    async def test_expiration_and_cancelling(self, deployment: Deployment) -> None:
        export_id = await deployment.snapshots.exports.request()
        await deployment.snapshots.wait_exported()
        status, _ = await deployment.post(
            f"/api/export/set_expiration/{export_id}", json={"expirationTsNs": 5}
        )
        assert status == 200
        assert (await deployment.snapshots.latest_export())["expiration_ts"] == 5
        status, error = await deployment.post(f"/api/export/cancel/{export_id}")
        assert (status, error["code"]) == (400, "CannotCancelExport")

    @pytest.mark.parametrize(
        ("text", "status", "code"),
        [("5", 404, "ExportNotFound"), ("x", 400, "BadSnapshotId")],
    )
    async def test_unknown_exports(
        self, deployment: Deployment, text: str, status: int, code: str
    ) -> None:
        url = f"{deployment.edge.url}/api/export/zip/{text}"
        async with deployment.edge.session.get(url, headers=ADMIN) as response:
            assert response.status == status
            assert (await response.json())["code"] == code

    @pytest.mark.parametrize("query", ["includeStorage=maybe", "component=c"])
    async def test_bad_queries(self, deployment: Deployment, query: str) -> None:
        status, error = await deployment.post(f"/api/export/request/zip?{query}")
        assert (status, error["code"]) == (400, "BadQueryArgs")


class TestImport:
    async def test_a_file_comes_in_parts(self, deployment: Deployment) -> None:
        target = {"tableName": "t", "mode": "append", "format": "jsonLines"}
        status, finished = await deployment.upload(b'{"n":', b" 1}\n", target=target)
        assert status == 200
        import_id = finished["importId"]
        await deployment.snapshots.wait_state(import_id, "waiting_for_confirmation")
        answer = await deployment.post("/api/perform_import", json={"importId": import_id})
        assert answer == (200, "")
        row = await deployment.snapshots.wait_state(import_id)
        assert row.state.num_rows_written == 1
        assert await deployment.snapshots.field("t", "n") == [1.0]

    async def test_a_file_comes_in_one_request(self, deployment: Deployment) -> None:
        path = "/api/import?tableName=t&format=csv&mode=replace"
        assert await deployment.post(path, data=b"n\n1\n2\n") == (200, {"numWritten": 2})
        status, error = await deployment.post(path, data=b"")
        assert (status, error["code"]) == (400, "CsvMissingHeaders")
        assert error["message"].startswith("Hit an error while importing:\n")

    async def test_cancelling(self, deployment: Deployment) -> None:
        target = {"tableName": "t", "format": "csv"}
        _, finished = await deployment.upload(b"n\n1\n", target=target)
        status, _ = await deployment.post("/api/cancel_import", json=finished)
        assert status == 200
        status, error = await deployment.post("/api/perform_import", json=finished)
        assert (status, error["code"]) == (400, "InvalidImport")

    @pytest.mark.parametrize("path", ["/api/perform_import", "/api/cancel_import"])
    async def test_unknown_imports(self, deployment: Deployment, path: str) -> None:
        status, error = await deployment.post(path, json={"importId": "x"})
        assert (status, error["code"]) == (404, "ImportNotFound")

    @pytest.mark.parametrize(
        ("target", "code"),
        [
            ({"format": "csv"}, "InvalidName"),
            ({"format": "csv", "tableName": "_system"}, "InvalidName"),
            ({"format": "zip", "tableName": "t"}, "InvalidName"),
            ({"format": "zip", "componentPath": "c d"}, "InvalidComponentName"),
            ({"format": "xml", "tableName": "t"}, "BadJsonBody"),
        ],
    )
    async def test_bad_targets(
        self, deployment: Deployment, target: dict[str, Any], code: str
    ) -> None:
        status, error = await deployment.upload(b"x", target=target)
        assert (status, error["code"]) == (400, code)

    @pytest.mark.parametrize(
        ("query", "size"),
        [
            ("uploadToken=x&partNumber=1", 1),
            ("uploadToken={token}&partNumber=0", 1),
            ("uploadToken={token}&partNumber=10000", 1),
            ("uploadToken={token}&partNumber=1", PART_BYTES_MAX + 1),
        ],
    )
    async def test_bad_parts(self, deployment: Deployment, query: str, size: int) -> None:
        token = deployment.snapshots.imports.start_upload()
        path = "/api/import/upload_part?" + query.format(token=token)
        status, error = await deployment.post(path, data=b"x" * size)
        assert (status, error["code"]) == (400, "InvalidImport")

    async def test_missing_parts(self, deployment: Deployment) -> None:
        token = deployment.snapshots.imports.start_upload()
        await deployment.snapshots.imports.upload_part(token, 1, b"x")
        target = {"format": "csv", "tableName": "t"}
        body = {"import": target, "uploadToken": token, "partTokens": []}
        status, error = await deployment.post("/api/import/finish_upload", json=body)
        assert (status, error["code"]) == (400, "InvalidImport")


@pytest.mark.parametrize(
    "path",
    [
        "/api/export/request/zip",
        "/api/export/cancel/x",
        "/api/export/set_expiration/x",
        "/api/import",
        "/api/import/start_upload",
        "/api/import/upload_part",
        "/api/import/finish_upload",
        "/api/perform_import",
        "/api/cancel_import",
    ],
)
@pytest.mark.parametrize(("headers", "code"), [({}, "BadDeployKey"), (READER, "Forbidden")])
async def test_only_admins_who_may_write(
    deployment: Deployment, path: str, headers: dict[str, str], code: str
) -> None:
    status, error = await deployment.post(path, headers=headers)
    assert (status, error["code"]) == (403, code)
