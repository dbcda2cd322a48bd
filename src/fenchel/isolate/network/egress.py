"""HTTP requests of user code, one hop each: policy, connection, deadlines.

Redirects are followed inside the realm, so every hop comes here as a request of its own. Knows no
execution and no frames.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterable
from dataclasses import dataclass

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_exceptions import ClientConnectorError

from fenchel.errors import FenchelError, bad_request
from fenchel.isolate.metrics import IsolateMetrics
from fenchel.isolate.network.address_policy import AddressDenied, check_address, check_host
from fenchel.runtime import Clock
from fenchel.runtime.settings import EgressSettings

# Set from the connection and the body: user code must not make them disagree with either.
_CONNECTION_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_USER_AGENT = "Fenchel"
_METHOD_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRequest:
    """One hop. `body_bytes` is the size of `body`, None if nobody knows it or there is none."""

    url: str
    method: str
    headers: list[tuple[str, str]]
    body: bytes | AsyncIterable[bytes] | None
    body_bytes: int | None


class Egress:
    """Connections to the outside, shared by all executions of the deployment.

    Life: opened by the first request; `close` ends it with every connection. No cookies are kept,
    no proxy of the environment is used.
    """

    def __init__(self, settings: EgressSettings, metrics: IsolateMetrics, clock: Clock) -> None:
        self.settings = settings
        self._metrics = metrics
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: OutgoingRequest) -> aiohttp.ClientResponse:
        """The response, its body not yet read; the caller closes it.

        Raises: FenchelError FetchFailed with the reason, whatever it was.
        """
        start = self._clock.monotonic()
        status: int | None = None
        try:
            response = await self._send(request)
            status = response.status
            return response
        finally:
            self._metrics.record_fetch(status, self._clock.monotonic() - start)

    async def _send(self, request: OutgoingRequest) -> aiohttp.ClientResponse:
        try:
            url = _checked_url(request.url)
            check_host(url.raw_host or "", self.settings)
            async with asyncio.timeout(self.settings.response_seconds_max):
                return await self._opened_session().request(
                    _checked_method(request.method),
                    url,
                    headers=_headers(request),
                    data=request.body,
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise fetch_failed(describe_failure(error, self.settings)) from error

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self.settings
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_CheckedResolver(settings),
                    socket_factory=self._make_socket,
                    limit=settings.connection_count_max,
                    use_dns_cache=False,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Content-Type",),
                headers={"User-Agent": _USER_AGENT},
                timeout=aiohttp.ClientTimeout(
                    sock_connect=settings.connect_seconds_max,
                    sock_read=settings.silence_seconds_max,
                ),
                max_line_size=settings.header_bytes_max,
                max_field_size=settings.header_bytes_max,
            )
        return self._session

    def _make_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """The last look at an address: no connection is made to any other than this one."""
        family, kind, protocol, _, target = address
        check_address(str(target[0]), self.settings)
        return socket.socket(family=family, type=kind, proto=protocol)


class _CheckedResolver(AbstractResolver):
    """Drops what may not be reached, so that a name with public and private addresses works."""

    def __init__(self, settings: EgressSettings) -> None:
        self._settings = settings
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed: list[ResolveResult] = []
        denied: AddressDenied | None = None
        for result in found:
            try:
                check_address(result["host"], self._settings)
                allowed.append(result)
            except AddressDenied as error:
                denied = error
        if denied is not None and not allowed:
            raise denied
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


def fetch_failed(reason: str) -> FenchelError:
    return bad_request("FetchFailed", reason)


def describe_failure(error: BaseException, settings: EgressSettings) -> str:
    """The failure in words for the developer, causes included."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {settings.connect_seconds_max:g} seconds"
        case aiohttp.SocketTimeoutError():
            return f"the server was silent for {settings.silence_seconds_max:g} seconds"
        case TimeoutError():
            return f"no response within {settings.response_seconds_max:g} seconds"
        case ClientConnectorError() if isinstance(error.os_error, AddressDenied):
            return str(error.os_error)
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} could not be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host} is not valid: {error.certificate_error}"
        case ClientConnectorError():
            return f"could not connect to {error.host}:{error.port}: {error.os_error}"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection before its response"
        case aiohttp.ClientResponseError():
            return f"the response is not valid HTTP: {error.message}"
        case aiohttp.ClientPayloadError():
            return "the response body ended early or cannot be decoded"
        case _:
            return str(error) or type(error).__name__


def _checked_url(text: str) -> yarl.URL:
    """Raises: ValueError."""
    url = yarl.URL(text, encoded=True)
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise ValueError("only http and https addresses can be fetched")
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("the address must not hold a user name or password")
    return url


def _checked_method(method: str) -> str:
    """Raises: ValueError."""
    if not method.isascii() or len(method) > _METHOD_CHARACTERS_MAX:
        raise ValueError("the method is not a token")
    if method.upper() in ("CONNECT", "TRACE", "TRACK"):
        raise ValueError(f"the method {method} cannot be used")
    return method


def _headers(request: OutgoingRequest) -> list[tuple[str, str]]:
    headers = [(name, value) for name, value in request.headers if name not in _CONNECTION_HEADERS]
    if request.body_bytes is not None and not isinstance(request.body, bytes):
        headers.append(("Content-Length", str(request.body_bytes)))
    return headers
