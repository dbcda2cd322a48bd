"""Function calls over HTTP (client-protocol 2.3): query, mutation, action, any function, and
timestamps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from fenchel.application import Application, ClientResult, FunctionCall, FunctionCaller
from fenchel.auth import Admin, Identity, User
from fenchel.documents import Timestamp, decode_timestamp, encode_timestamp
from fenchel.errors import bad_request
from fenchel.server.authentication import RequestAuthenticator, require_admin, require_writer
from fenchel.server.client_version import ClientVersion, decode_client_version
from fenchel.server.function_results import ErrorBody, SuccessBody, decode_format, result_body
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes

_NO_ARGS = msgspec.Raw(b"{}")
# `queries` of one query_batch request; they run one after the other.
BATCH_COUNT_MAX = 100


class FunctionBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`args` is an object, or an array with one object."""

    path: str
    args: msgspec.Raw = _NO_ARGS
    format: str | None = None
    component_path: str | None = None


class QueryAtBody(FunctionBody, frozen=True, kw_only=True):
    ts: str


class QueryBatchBody(msgspec.Struct, frozen=True, kw_only=True):
    queries: tuple[FunctionBody, ...]


class QueryBatchResponse(msgspec.Struct, frozen=True, kw_only=True):
    results: tuple[SuccessBody | ErrorBody, ...]


class RunBody(msgspec.Struct, frozen=True, kw_only=True):
    args: msgspec.Raw = _NO_ARGS
    format: str | None = None


class TimestampResponse(msgspec.Struct, frozen=True, kw_only=True):
    ts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionHandlers:
    """One method per endpoint. A failing function is a 200 with status "error"."""

    application: Application
    authenticator: RequestAuthenticator
    body_bytes_max: int

    @property
    def routes(self) -> Routes:
        return Routes(
            exact={
                ("POST", "/api/query"): self.query,
                ("GET", "/api/query"): self.query_by_url,
                ("POST", "/api/mutation"): self.mutation,
                ("POST", "/api/action"): self.action,
                ("POST", "/api/function"): self.function,
                ("POST", "/api/query_ts"): self.query_ts,
                ("POST", "/api/query_at_ts"): self.query_at_ts,
                ("POST", "/api/query_batch"): self.query_batch,
            },
            prefixes={("POST", "/api/run/"): self.run},
        )

    async def query(self, request: Request) -> Response:
        client = _client(request)
        body = await self._read(request, FunctionBody)
        identity = await self.authenticator.identify(request)
        return await self._query(request, client, body, identity)

    async def query_by_url(self, request: Request) -> Response:
        """GET with `path`, `args` (JSON text) and `format` as query parameters."""
        client = _client(request)
        path = request.query.get("path")
        if path is None:
            raise bad_request("BadQueryArgs", "The query parameter `path` is missing.")
        body = FunctionBody(
            path=path,
            args=msgspec.Raw(request.query.get("args", "{}").encode()),
            format=request.query.get("format"),
        )
        identity = await self.authenticator.identify(request)
        return await self._query(request, client, body, identity)

    async def _query(
        self,
        request: Request,
        client: ClientVersion | None,
        body: FunctionBody,
        identity: Identity,
        ts: Timestamp | None = None,
    ) -> Response:
        value_format = decode_format(body.format, client)
        run = await self.application.run_query(_call(request, body, identity), ts=ts)
        return json_response(
            result_body(run.result, value_format),
            function=body.path,
            # A user's token must be verified every time: it expires, and providers are removed.
            repeat=None if isinstance(identity, User) else run.repeat,
        )

    async def mutation(self, request: Request) -> Response:
        async def run(call: FunctionCall) -> ClientResult:
            return (await self.application.run_mutation(call)).result

        return await self._write(request, run)

    async def action(self, request: Request) -> Response:
        async def run(call: FunctionCall) -> ClientResult:
            return (await self.application.run_action(call)).result

        return await self._write(request, run)

    async def _write(self, request: Request, run: Callable[[FunctionCall], Any]) -> Response:
        client = _client(request)
        body = await self._read(request, FunctionBody)
        value_format = decode_format(body.format, client)
        identity = await self.authenticator.identify(request)
        if isinstance(identity, Admin):
            require_writer(identity)
        result = await run(_call(request, body, identity))
        return json_response(result_body(result, value_format), function=body.path)

    async def function(self, request: Request) -> Response:
        """Any type of function, public or internal, for admins (deploy-protocol 3.2)."""
        client = _client(request)
        body = await self._read(request, FunctionBody)
        value_format = decode_format(body.format, client)
        admin = require_writer(require_admin(await self.authenticator.identify(request)))
        run = await self.application.run_function(_call(request, body, admin))
        return json_response(result_body(run.result, value_format), function=body.path)

    async def run(self, request: Request) -> Response:
        """`/api/run/a/b/fn` runs `a/b:fn` of the root component, whatever its type."""
        client = _client(request)
        path = _run_path(request.path.removeprefix("/api/run/"))
        run_body = await self._read(request, RunBody)
        body = FunctionBody(path=path, args=run_body.args)
        value_format = decode_format(run_body.format or "json", client)
        identity = await self.authenticator.identify(request)
        run = await self.application.run_function(_call(request, body, identity))
        return json_response(result_body(run.result, value_format), function=path)

    async def query_ts(self, _request: Request) -> Response:
        return json_response(TimestampResponse(ts=encode_timestamp(self.application.latest_ts())))

    async def query_at_ts(self, request: Request) -> Response:
        client = _client(request)
        body = await self._read(request, QueryAtBody)
        ts = self._decode_past_ts(body.ts)
        identity = await self.authenticator.identify(request)
        return await self._query(request, client, body, identity, ts)

    def _decode_past_ts(self, text: str) -> Timestamp:
        ts = decode_timestamp(text)
        if ts > self.application.latest_ts():
            raise bad_request("InvalidTimestamp", "The timestamp is in the future.")
        return ts

    async def query_batch(self, request: Request) -> Response:
        """All at one timestamp."""
        client = _client(request)
        batch = await self._read(request, QueryBatchBody)
        if len(batch.queries) > BATCH_COUNT_MAX:
            raise bad_request("BadJsonBody", f"A batch has at most {BATCH_COUNT_MAX} queries.")
        formats = [decode_format(body.format, client) for body in batch.queries]
        identity = await self.authenticator.identify(request)
        ts = self.application.latest_ts()
        results = []
        for body, value_format in zip(batch.queries, formats, strict=True):
            run = await self.application.run_query(_call(request, body, identity), ts=ts)
            results.append(result_body(run.result, value_format))
        return json_response(QueryBatchResponse(results=tuple(results)))

    async def _read(self, request: Request, body_type: type[Any]) -> Any:
        return await request.read_json(body_type, bytes_max=self.body_bytes_max)


def _client(request: Request) -> ClientVersion | None:
    return decode_client_version(request.headers.get("convex-client"))


def _call(request: Request, body: FunctionBody, identity: Identity) -> FunctionCall:
    return FunctionCall(
        path=body.path,
        component=body.component_path or "",
        args_json=bytes(body.args).decode(),
        identity=identity,
        caller=FunctionCaller.HTTP_API,
        request_id=request.request_id,
        client_ip=request.client_ip,
        user_agent=request.headers.get("user-agent"),
    )


def _run_path(text: str) -> str:
    segments = [unquote(segment) for segment in text.split("/")]
    if len(segments) < 2:
        raise bad_request(
            "MissingIdentifier",
            "The path must name a module and a function: /api/run/module/function.",
        )
    return f"{'/'.join(segments[:-1])}:{segments[-1]}"
