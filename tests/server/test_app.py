"""What surrounds every handler: routes, CORS, limits, deadlines, the log line, draining."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import ServerSettings
from tests.server.fakes import ADMIN, Edge, open_edge

QUERY = {"path": "messages:list", "args": {"secret": "s3cret"}}


class TestRoutes:
    async def test_leading_slashes_collapse(self, edge: Edge) -> None:
        assert (await edge.post("//api/query", json=QUERY))[0] == 200

    async def test_an_unknown_path_is_not_found(self, edge: Edge) -> None:
        status, body = await edge.post("/api/nothing", json={})
        assert (status, body["code"]) == (404, "NotFound")

    async def test_a_wrong_method_is_a_failure_that_the_cli_does_not_retry(
        self, edge: Edge
    ) -> None:
        status, _ = await edge.get("/api/mutation")
        assert status == 400

    @pytest.mark.parametrize("path", ["/http", "/http/hello", "/http/a/b"])
    async def test_http_actions_are_not_enabled(self, edge: Edge, path: str) -> None:
        assert await edge.get(path) == (404, "no HTTP actions")


class TestCors:
    """2.7."""

    async def test_a_preflight_is_answered_whatever_the_path(self, edge: Edge) -> None:
        headers = {
            "Origin": "http://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "convex-client,content-type",
        }
        async with edge.session.options(edge.url + "/api/query", headers=headers) as response:
            assert response.status == 200
            answer = response.headers
        assert answer["Access-Control-Allow-Origin"] == "http://app.example"
        assert answer["Access-Control-Allow-Credentials"] == "true"
        assert answer["Access-Control-Allow-Headers"] == "convex-client,content-type"
        assert answer["Access-Control-Max-Age"] == "86400"
        assert "DELETE" in answer["Access-Control-Allow-Methods"]

    @pytest.mark.parametrize("path", ["/api/query", "/api/nothing"])
    async def test_answers_reflect_the_origin(self, edge: Edge, path: str) -> None:
        headers = {"Origin": "http://app.example"}
        async with edge.session.post(edge.url + path, json=QUERY, headers=headers) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "http://app.example"
            assert "Origin" in response.headers["Vary"]

    async def test_without_an_origin_there_is_no_such_header(self, edge: Edge) -> None:
        async with edge.session.post(edge.url + "/api/query", json=QUERY) as response:
            assert "Access-Control-Allow-Origin" not in response.headers

    async def test_a_preflight_for_http_actions_goes_to_them(self, edge: Edge) -> None:
        headers = {"Origin": "http://a", "Access-Control-Request-Method": "POST"}
        async with edge.session.options(edge.url + "/http/x", headers=headers) as response:
            assert response.status == 404


def with_server(server: ServerSettings) -> Runtime:
    return Runtime(settings=Settings(server=server))


class TestLimits:
    async def test_too_many_requests_are_refused(self) -> None:
        runtime = with_server(replace(ServerSettings(), concurrent_requests_max=1))
        async with open_edge(runtime=runtime) as edge:
            gate = asyncio.Event()
            entered = asyncio.Event()

            async def wait() -> None:
                entered.set()
                await gate.wait()

            edge.application.before = wait
            first = asyncio.create_task(edge.post("/api/query", json=QUERY))
            await asyncio.wait_for(entered.wait(), 30)
            status, body = await edge.post("/api/query", json=QUERY)
            assert (status, body["code"]) == (503, "TooManyConcurrentRequests")
            gate.set()
            assert (await first)[0] == 200

    async def test_a_request_has_a_deadline(self) -> None:
        runtime = with_server(replace(ServerSettings(), request_seconds_max=0.01))
        async with open_edge(runtime=runtime) as edge:
            edge.application.before = asyncio.Event().wait  # type: ignore[assignment]
            status, body = await edge.post("/api/query", json=QUERY)
            assert (status, body["code"]) == (503, "SystemTimeoutError")


class TestRequestLog:
    async def test_one_line_without_arguments_or_keys(
        self, edge: Edge, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        headers = ADMIN | {"convex-request-id": "0123456789abcdef"}
        await edge.post("/api/function", json=QUERY, headers=headers)
        (line,) = [
            record.getMessage() for record in caplog.records if record.name == "fenchel.server.app"
        ]
        assert "request_id=0123456789abcdef" in line
        assert "function=messages:list" in line
        assert "status=200" in line
        assert "s3cret" not in caplog.text
        assert ADMIN["Authorization"].split("|")[1] not in caplog.text

    async def test_a_request_id_that_could_forge_a_line_is_replaced(self, edge: Edge) -> None:
        await edge.post("/api/query", json=QUERY, headers={"convex-request-id": "a b=c"})
        request_id = edge.application.last_call.request_id
        assert len(request_id) == 16
        assert int(request_id, 16) >= 0

    async def test_metrics_count_requests(self, edge: Edge) -> None:
        await edge.post("/api/query", json=QUERY)
        _, text = await edge.get("/metrics")
        assert 'fenchel_http_request_seconds_count{method="POST",status="200"}' in text


class TestDraining:
    async def test_running_requests_finish_and_new_ones_are_refused(self, edge: Edge) -> None:
        gate = asyncio.Event()
        entered = asyncio.Event()

        async def wait() -> None:
            entered.set()
            await gate.wait()

        edge.application.before = wait
        first = asyncio.create_task(edge.post("/api/query", json=QUERY))
        await asyncio.wait_for(entered.wait(), 30)
        drain = asyncio.create_task(edge.api.drain(seconds_max=30))
        await asyncio.sleep(0)
        assert (await edge.post("/api/query", json=QUERY))[0] == 503
        assert not drain.done()
        gate.set()
        assert (await first)[0] == 200
        await drain

    async def test_a_request_that_does_not_finish_is_not_waited_for_longer_than_agreed(
        self, edge: Edge, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate = asyncio.Event()
        entered = asyncio.Event()

        async def wait() -> None:
            entered.set()
            await gate.wait()

        edge.application.before = wait
        first = asyncio.create_task(edge.post("/api/query", json=QUERY))
        await asyncio.wait_for(entered.wait(), 30)
        await edge.api.drain(seconds_max=0.01)
        assert "drain deadline" in caplog.text
        gate.set()
        await first

    async def test_long_polls_end_at_once(self, edge: Edge) -> None:
        poll = asyncio.create_task(
            edge.get("/api/stream_function_logs", params={"cursor": "-1"}, headers=ADMIN)
        )
        await asyncio.wait_for(edge.application.function_log.is_waiting.wait(), 30)
        edge.shutdown.begin()
        status, _ = await poll
        assert status == 503
