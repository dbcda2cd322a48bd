"""Pushes, environment variables, logs and probes (deploy-protocol 1, 2, 3)."""

from __future__ import annotations

import json
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest

from fenchel import __version__
from tests.server.fakes import ADMIN, ADMIN_KEY, READER, Edge

PUSH = {
    "adminKey": ADMIN_KEY,
    "dryRun": False,
    "functions": "convex/",
    "appDefinition": {"udfServerVersion": "1.48.0", "changedModules": []},
    "unknownField": 1,
}


class TestDeploy:
    async def test_a_push_as_the_cli_sends_it(self, edge: Edge) -> None:
        body = brotli.compress(json.dumps(PUSH).encode(), quality=4, mode=brotli.MODE_TEXT)
        headers = {"Content-Type": "application/json", "Content-Encoding": "br"}
        answer = await edge.post("/api/deploy2/start_push", data=body, headers=headers)
        assert answer == (200, {"pushToken": "t"})
        (request,) = edge.application.deploy.requests
        assert request.app_definition.udf_server_version == "1.48.0"

    async def test_the_error_of_a_push_keeps_its_code_and_text(self, edge: Edge) -> None:
        status, body = await edge.post("/api/deploy2/start_push", json=PUSH | {"dryRun": True})
        assert (status, body["code"]) == (400, "InvalidModules")
        assert body["message"].startswith("Hit an error while pushing:\n")

    @pytest.mark.parametrize(
        "path",
        [
            "/api/get_config_hashes",
            "/api/deploy2/start_push",
            "/api/deploy2/evaluate_push",
            "/api/deploy2/evaluate_schema",
            "/api/deploy2/report_push_completed",
        ],
    )
    async def test_every_endpoint_needs_an_admin_who_may_write(self, edge: Edge, path: str) -> None:
        nobody = {key: value for key, value in PUSH.items() if key != "adminKey"}
        assert (await edge.post(path, json=nobody))[0] == 403
        assert (await edge.post(path, json=nobody, headers=READER))[0] == 403
        status, body = await edge.post(path, json=PUSH | {"adminKey": "test-instance|00"})
        assert (status, body["code"]) == (401, "BadAdminKey")
        assert (await edge.post(path, json=nobody, headers=ADMIN))[0] == 200

    async def test_a_key_of_another_deployment_is_forbidden(self, edge: Edge) -> None:
        other = "other|" + ADMIN_KEY.split("|")[1]
        status, body = await edge.post("/api/get_config_hashes", json={"adminKey": other})
        assert (status, body["code"]) == (403, "BadDeployKey")

    async def test_config_hashes_before_the_first_push(self, edge: Edge) -> None:
        _, body = await edge.post(
            "/api/get_config_hashes", json={"version": "1.48.0", "adminKey": ADMIN_KEY}
        )
        assert body["config"] == {"functions": "convex/"}
        assert body["moduleHashes"] == []

    async def test_finish_push_reads_only_the_token_of_the_echo(self, edge: Edge) -> None:
        request = {
            "adminKey": ADMIN_KEY,
            "startPush": {"pushToken": "t", "analysis": {"": {}}},
            "dryRun": False,
            "message": None,
        }
        status, _ = await edge.post("/api/deploy2/finish_push", json=request)
        assert status == 200
        assert edge.application.deploy.requests[0].start_push.push_token == "t"

    async def test_canonical_urls(self, edge: Edge) -> None:
        assert (await edge.get("/api/v1/get_canonical_urls"))[0] == 403
        _, text = await edge.get("/api/v1/get_canonical_urls", headers=ADMIN)
        assert json.loads(text) == {"convexCloudUrl": "http://c", "convexSiteUrl": "http://s"}


class TestEnvironmentVariables:
    async def test_changes_arrive_together(self, edge: Edge) -> None:
        changes = {"changes": [{"name": "A", "value": "1"}, {"name": "B", "value": None}]}
        url = edge.url + "/api/update_environment_variables"
        async with edge.session.post(url, json=changes, headers=ADMIN) as response:
            assert (response.status, await response.text()) == (200, "")
        assert [(c.name, c.value) for c in edge.application.environment.changes] == [
            ("A", "1"),
            ("B", None),
        ]

    async def test_only_an_admin_may_change_them(self, edge: Edge) -> None:
        status, _ = await edge.post("/api/update_environment_variables", json={"changes": []})
        assert status == 403


class TestLogs:
    @pytest.mark.parametrize(
        ("client", "is_structured"),
        [("npm-cli-1.48.0", True), ("dashboard-1.0.0", True), ("npm-1.48.0", False), (None, False)],
    )
    async def test_the_cli_gets_structured_lines(
        self, edge: Edge, client: str | None, is_structured: bool
    ) -> None:
        headers: dict[str, Any] = dict(ADMIN)
        if client is not None:
            headers["Convex-Client"] = client
        _, text = await edge.get(
            "/api/stream_function_logs", params={"cursor": "2.5"}, headers=headers
        )
        assert json.loads(text) == {"entries": [], "newCursor": 7.5}
        assert edge.application.function_log.asked == [(2.5, is_structured)]

    async def test_a_stranger_sees_nothing(self, edge: Edge) -> None:
        assert (await edge.get("/api/stream_function_logs"))[0] == 403

    async def test_a_cursor_is_a_number(self, edge: Edge) -> None:
        params = {"cursor": "now"}
        status, text = await edge.get("/api/stream_function_logs", params=params, headers=ADMIN)
        assert (status, json.loads(text)["code"]) == (400, "BadQueryArgs")


class TestProbes:
    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("/version", __version__),
            ("/instance_version", __version__),
            ("/instance_name", "test-instance"),
        ],
    )
    async def test_names_and_versions(self, edge: Edge, path: str, text: str) -> None:
        assert await edge.get(path) == (200, text)

    async def test_the_banner(self, edge: Edge) -> None:
        status, text = await edge.get("/")
        assert status == 200
        assert "running" in text

    async def test_echo_gives_the_body_back(self, edge: Edge) -> None:
        data = bytes(range(256)) * 1_000
        async with edge.session.post(edge.url + "/echo", data=data) as response:
            assert await response.read() == data

    async def test_check_admin_key(self, edge: Edge) -> None:
        assert (await edge.get("/api/check_admin_key"))[0] == 403
        _, text = await edge.get("/api/check_admin_key", headers=ADMIN)
        check = json.loads(text)
        assert check["success"]
        assert not check["isReadOnly"]
        assert "Deploy" in check["allowedOps"]
        _, text = await edge.get("/api/check_admin_key", headers=READER)
        check = json.loads(text)
        assert check["isReadOnly"]
        assert "Deploy" not in check["allowedOps"]
