"""Function calls over real sockets (client-protocol 2.1-2.6)."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from fenchel.application import ClientResult
from fenchel.auth import Admin, Anonymous, User
from fenchel.documents import Timestamp, encode_timestamp
from fenchel.errors import ErrorKind, FenchelError
from tests.server.fakes import ADMIN, ADMIN_KEY, LATEST_TS, READER, Edge

QUERY = {"path": "messages:list", "format": "convex_encoded_json", "args": [{}]}
CALLS = [("query", "/api/query"), ("mutation", "/api/mutation"), ("action", "/api/action")]


@pytest.mark.parametrize(("kind", "path"), CALLS)
async def test_a_call_as_npm_sends_it(edge: Edge, kind: str, path: str) -> None:
    headers = {"Convex-Client": "npm-1.48.0"}
    status, body = await edge.post(path, json=QUERY, headers=headers)
    assert status == 200
    assert body == {
        "status": "success",
        "value": {"big": {"$integer": "BQAAAAAAAAA="}, "n": 17.0},
        "logLines": ["[LOG] 'x'"],
    }
    ((called, call),) = edge.application.calls
    assert called == kind
    assert (call.path, call.args_json, call.component) == ("messages:list", "[{}]", "")
    assert call.identity == Anonymous()
    assert call.client_ip == "127.0.0.1"


async def test_a_call_as_python_sends_it(edge: Edge) -> None:
    body = {"path": "messages:list", "args": {"a": 1}, "format": "convex_encoded_json"}
    headers = {"Convex-Client": "python-0.8.1"}
    async with edge.session.post(edge.url + "/api/query", json=body, headers=headers) as response:
        text = await response.text()
    assert '"n":17.0' in text, "Python's client refuses integers"
    assert json.loads(edge.application.last_call.args_json) == {"a": 1}


async def test_who_sends_all_of_too_large_a_body_still_gets_the_answer(edge: Edge) -> None:
    body = b'{"path": "messages:list", "args": {"text": "' + b"x" * (24 << 20) + b'"}}'
    address = urlsplit(edge.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
    await writer.drain()
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_missing_arguments_are_none(edge: Edge) -> None:
    await edge.post("/api/query", json={"path": "messages:list"})
    assert edge.application.last_call.args_json == "{}"


@pytest.mark.parametrize(
    ("name", "client", "value"),
    [
        (None, None, {"big": "5", "n": 17.0}),
        ("json", None, {"big": "5", "n": 17.0}),
        ("convex_clean_json", None, {"big": "5", "n": 17.0}),
        ("convex_json", None, {"big": {"$integer": "BQAAAAAAAAA="}, "n": 17.0}),
        ("export_json", None, {"big": 5, "n": 17.0}),
        (None, "npm-1.4.0", {"big": {"$integer": "BQAAAAAAAAA="}, "n": 17.0}),
        (None, "npm-1.48.0", {"big": "5", "n": 17.0}),
    ],
)
async def test_formats(edge: Edge, name: str | None, client: str | None, value: Any) -> None:
    headers = {} if client is None else {"Convex-Client": client}
    request = {"path": "a:b"} | ({} if name is None else {"format": name})
    _, body = await edge.post("/api/query", json=request, headers=headers)
    assert body["value"] == value


async def test_an_unknown_format_is_refused_before_the_function_runs(edge: Edge) -> None:
    status, body = await edge.post("/api/mutation", json={"path": "a:b", "format": "xml"})
    assert (status, body["code"]) == (400, "BadFormat")
    assert not edge.application.calls


async def test_a_failing_function_is_a_200(edge: Edge) -> None:
    edge.application.result = ClientResult(is_success=False, error_message="[Request ID: x] no\n")
    status, body = await edge.post("/api/query", json=QUERY)
    assert (status, body) == (200, {"status": "error", "errorMessage": "[Request ID: x] no\n"})


async def test_error_data_is_present_even_if_it_is_null(edge: Edge) -> None:
    edge.application.result = ClientResult(
        is_success=False, error_message="e", error_data_json="null"
    )
    _, body = await edge.post("/api/query", json=QUERY)
    assert body["errorData"] is None


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ErrorKind.BAD_REQUEST, 400),
        (ErrorKind.UNAUTHENTICATED, 401),
        (ErrorKind.FORBIDDEN, 403),
        (ErrorKind.NOT_FOUND, 404),
        (ErrorKind.CONFLICT, 409),
        (ErrorKind.RATE_LIMITED, 429),
        (ErrorKind.OCC, 503),
        (ErrorKind.OVERLOADED, 503),
    ],
)
async def test_failures_outside_of_functions_have_code_and_message(
    edge: Edge, kind: ErrorKind, status: int
) -> None:
    async def fail() -> None:
        raise FenchelError(kind, "SomeCode", "some text")

    edge.application.before = fail
    assert await edge.post("/api/query", json=QUERY) == (
        status,
        {"code": "SomeCode", "message": "some text"},
    )


async def test_a_bug_is_opaque_and_logged(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("secret")

    edge.application.before = fail
    headers = {"convex-request-id": "abc123"}
    status, body = await edge.post("/api/query", json=QUERY, headers=headers)
    assert (status, body["code"]) == (500, "InternalServerError")
    assert "secret" not in body["message"]
    assert "abc123" in body["message"]
    assert "ZeroDivisionError" in caplog.text


class TestBodies:
    @pytest.mark.parametrize(
        ("data", "content_type"),
        [
            (b"{}", "application/json"),
            (b'{"path":1}', "application/json"),
            (b"{", "application/json"),
            (b'{"path":"a:b"}', "text/plain"),
            (b"\xff", "application/json"),
        ],
    )
    async def test_what_is_not_the_expected_json_is_refused(
        self, edge: Edge, data: bytes, content_type: str
    ) -> None:
        headers = {"Content-Type": content_type}
        status, body = await edge.post("/api/query", data=data, headers=headers)
        assert (status, body["code"]) == (400, "BadJsonBody")

    @pytest.mark.parametrize(
        "content_type", ["application/json; charset=utf-8", "application/merge-patch+json"]
    )
    async def test_other_names_of_json_are_accepted(self, edge: Edge, content_type: str) -> None:
        headers = {"Content-Type": content_type}
        status, _ = await edge.post("/api/query", data=b'{"path":"a:b"}', headers=headers)
        assert status == 200

    async def test_a_body_over_the_limit_is_refused(self, edge: Edge) -> None:
        body_bytes = b'{"path":"a:b","args":["' + b"x" * (16 * (1 << 20) + 2_001) + b'"]}'
        status, body = await edge.post(
            "/api/query",
            data=io.BytesIO(body_bytes),
            headers={"Content-Type": "application/json"},
        )
        assert (status, body["code"]) == (400, "BadJsonBody")
        assert (await edge.get("/version"))[0] == 200, "the connection or a new one still works"


class TestAuthorization:
    async def test_a_user_token(self, edge: Edge) -> None:
        await edge.post("/api/query", json=QUERY, headers={"Authorization": "bearer good"})
        assert isinstance(edge.application.last_call.identity, User)

    async def test_a_bad_token_is_refused_and_the_function_does_not_run(self, edge: Edge) -> None:
        status, body = await edge.post(
            "/api/query", json=QUERY, headers={"Authorization": "Bearer wrong"}
        )
        assert (status, body["code"]) == (401, "InvalidAuthHeader")
        assert not edge.application.calls

    async def test_an_admin_by_query_parameter(self, edge: Edge) -> None:
        await edge.post("/api/query", json=QUERY, params={"adminKey": ADMIN_KEY})
        assert edge.application.last_call.identity == Admin()

    async def test_an_admin_acting_as_a_user(self, edge: Edge) -> None:
        acting_as = base64.b64encode(b'{"issuer":"https://i","subject":"s","name":"N"}').decode()
        headers = {"Authorization": f"Convex {ADMIN_KEY}:{acting_as}"}
        await edge.post("/api/function", json=QUERY, headers=headers)
        identity = edge.application.last_call.identity
        assert isinstance(identity, Admin)
        assert identity.acting_as is not None
        assert identity.acting_as.attributes["name"] == "N"

    async def test_a_read_only_key_may_read_and_nothing_else(self, edge: Edge) -> None:
        assert (await edge.post("/api/query", json=QUERY, headers=READER))[0] == 200
        for path in ("/api/mutation", "/api/action", "/api/function"):
            status, body = await edge.post(path, json=QUERY, headers=READER)
            assert status == 403
            assert body["message"].startswith(
                "You do not have permission to perform this operation"
            )


class TestAnyFunction:
    async def test_function_needs_an_admin(self, edge: Edge) -> None:
        status, body = await edge.post("/api/function", json=QUERY)
        assert (status, body["code"]) == (403, "BadDeployKey")
        wrong = {"Authorization": "Convex test-instance|00"}
        status, body = await edge.post("/api/function", json=QUERY, headers=wrong)
        assert (status, body["code"]) == (401, "BadAdminKey")

    async def test_function_carries_the_component(self, edge: Edge) -> None:
        await edge.post("/api/function", json=QUERY | {"componentPath": "a/b"}, headers=ADMIN)
        assert edge.application.last_call.component == "a/b"

    async def test_run_takes_the_function_from_the_path(self, edge: Edge) -> None:
        _, body = await edge.post("/api/run/dir/my%20mod/fn", json={"args": {"x": 1}})
        assert edge.application.last_call.path == "dir/my mod:fn"
        assert body["value"]["big"] == "5", "the clean format is the default"

    async def test_run_needs_a_module_and_a_function(self, edge: Edge) -> None:
        status, body = await edge.post("/api/run/fn", json={})
        assert (status, body["code"]) == (400, "MissingIdentifier")


class TestTimestamps:
    async def test_query_ts_needs_neither_body_nor_authorization(self, edge: Edge) -> None:
        assert await edge.post("/api/query_ts") == (200, {"ts": encode_timestamp(LATEST_TS)})

    async def test_query_at_ts_runs_at_exactly_that_snapshot(self, edge: Edge) -> None:
        at = encode_timestamp(Timestamp(500))
        assert (await edge.post("/api/query_at_ts", json=QUERY | {"ts": at}))[0] == 200
        assert edge.application.timestamps == [500]

    @pytest.mark.parametrize("ts", ["!", "AAAA", encode_timestamp(Timestamp(LATEST_TS + 1))])
    async def test_a_timestamp_must_be_one_of_the_past(self, edge: Edge, ts: str) -> None:
        status, body = await edge.post("/api/query_at_ts", json=QUERY | {"ts": ts})
        assert (status, body["code"]) == (400, "InvalidTimestamp")

    async def test_a_batch_is_answered_at_one_timestamp(self, edge: Edge) -> None:
        _, body = await edge.post("/api/query_batch", json={"queries": [QUERY, QUERY]})
        assert [result["status"] for result in body["results"]] == ["success", "success"]
        assert edge.application.timestamps == [LATEST_TS, LATEST_TS]


async def test_get_query_takes_url_parameters(edge: Edge) -> None:
    params = {"path": "messages:list", "args": '{"a":1}'}
    status, _ = await edge.get("/api/query", params=params)
    assert status == 200
    assert edge.application.last_call.args_json == '{"a":1}'
    status, text = await edge.get("/api/query")
    assert (status, json.loads(text)["code"]) == (400, "BadQueryArgs")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("npm", "InvalidClientVersion"),
        ("npm-x.y", "InvalidClientVersion"),
        ("npm-0.19.1", "ClientVersionUnsupported"),
        ("python-0.0.2", "ClientVersionUnsupported"),
        ("rust-0.0.1", "ClientVersionUnsupported"),
    ],
)
async def test_clients_that_are_not_served(edge: Edge, header: str, code: str) -> None:
    status, body = await edge.post("/api/query", json=QUERY, headers={"Convex-Client": header})
    assert (status, body["code"]) == (400, code)


@pytest.mark.parametrize("header", ["npm-0.19.2", "npm-cli-1.48.0", "python-0.8.1", "x-1.0.0-rc.1"])
async def test_clients_that_are_served(edge: Edge, header: str) -> None:
    status, _ = await edge.post("/api/query", json=QUERY, headers={"Convex-Client": header})
    assert status == 200
