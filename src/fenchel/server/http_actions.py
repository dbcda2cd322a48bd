"""HTTP actions below `/http`, and on the site port at the root (client-protocol 2.8)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from fenchel.application import Application, HttpActionCall, HttpActionError
from fenchel.auth import Identity, Unknown
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.runtime.settings import ServerSettings
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.http_client import HttpActionClient, request_too_large
from fenchel.server.http_errors import error_response
from fenchel.server.request import Request, Send
from fenchel.server.response import Response, text_response
from fenchel.udf import HttpRequestHead

PREFIX = "/http"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})
_BODILESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# What may stand in a URL between the scheme and the path.
_HOST = re.compile(r"[0-9A-Za-z._~\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_FORWARDED_PROTO = re.compile(r"(?:^|[;,])\s*proto=\"?(https?)\"?", re.IGNORECASE)


class _ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    code: str
    trace: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def is_http_action_path(path: str) -> bool:
    return path == PREFIX or path.startswith(PREFIX + "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpActions:
    """Lets the app's router answer. No time limit but the action's own: what client and app wait
    for each other is bounded by the client's silence.
    """

    application: Application
    authenticator: RequestAuthenticator
    settings: ServerSettings

    async def serve(self, request: Request, send: Send) -> tuple[int, Response | None]:
        """The status, and the response if it is still to be sent. Raises: FenchelError before
        anything was sent.
        """
        client = HttpActionClient(request, send, self.settings)
        if request.method not in _METHODS:
            return _whole(text_response(f"{request.method} is not routed.", status=405))
        head = _decode_head(request)
        bytes_max = self.settings.http_action_body_bytes_max
        if _content_length(request) > bytes_max:
            return _whole(request_too_large(bytes_max))
        call = HttpActionCall(
            head=head,
            client=client,
            identity=await self._identify(request),
            request_id=request.request_id,
            client_ip=request.client_ip,
            user_agent=request.headers.get("user-agent"),
        )
        try:
            error = await self.application.run_http_action(call)
        except FenchelError as failure:
            response: Response | None = _not_run(failure, request)
        else:
            response = None if error is None else client.refusal or _function_failed(error)
        finally:
            await client.break_off()
        if client.status is not None:
            return client.status, None
        assert response is not None, "an action without an error has begun a response"
        return _whole(response)

    async def _identify(self, request: Request) -> Identity:
        """A token that is refused fails only those who ask who is calling: it may be meant for the
        app itself.
        """
        try:
            return await self.authenticator.identify_by_header(request)
        except FenchelError as error:
            return Unknown(error.code, error.message)


def _whole(response: Response) -> tuple[int, Response]:
    return response.status, response


def _not_run(failure: FenchelError, request: Request) -> Response:
    if failure.kind is ErrorKind.NOT_FOUND:
        return text_response(failure.message, status=404)
    return error_response(failure, request.request_id)


def _function_failed(error: HttpActionError) -> Response:
    data = msgspec.UNSET if error.data_json is None else msgspec.Raw(error.data_json.encode())
    body = _ErrorBody(code=error.code, trace=error.trace, data=data)
    return Response(
        status=500,
        body=msgspec.json.encode(body),
        content_type="application/json",
        error_code="FunctionFailed",
    )


def _decode_head(request: Request) -> HttpRequestHead:
    """Raises: InvalidHost."""
    host = request.headers.get("host", "localhost")
    if _HOST.fullmatch(host) is None:
        raise bad_request("InvalidHost", "The header Host is not a host name with a port.")
    path = request.raw_path.decode("latin-1").removeprefix(PREFIX) or "/"
    query = f"?{request.raw_query.decode('latin-1')}" if request.raw_query else ""
    has_body = "transfer-encoding" in request.headers or _content_length(request) > 0
    return HttpRequestHead(
        method=request.method,
        url=f"{_scheme(request)}://{host}{path}{query}",
        path=path,
        headers=tuple(request.raw_headers),
        has_body=has_body and request.method not in _BODILESS_METHODS,
    )


def _scheme(request: Request) -> str:
    """As the client used it, behind whatever proxies."""
    proto = request.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    if proto in {"http", "https"}:
        return proto
    match = _FORWARDED_PROTO.search(request.headers.get("forwarded", ""))
    return match.group(1).lower() if match else "http"


def _content_length(request: Request) -> int:
    """The parser has refused what is no number."""
    return int(request.headers.get("content-length", "0"))
