"""The ASGI application of the API port: limits, deadlines, CORS and one log line around every
handler.
"""

from __future__ import annotations

import asyncio
import logging

from fenchel.errors import FenchelError, internal_error, overloaded
from fenchel.runtime import Deadlines, Runtime
from fenchel.server.answer_cache import AnswerCache
from fenchel.server.cors import cors_headers, is_preflight, preflight_response
from fenchel.server.http_actions import HttpActions, is_http_action_path
from fenchel.server.http_errors import error_response
from fenchel.server.metrics import REQUEST_SECONDS, REQUESTS_REFUSED, REQUESTS_RUNNING
from fenchel.server.request import Receive, Request, Scope, Send
from fenchel.server.response import Response, encode_tail, send_file
from fenchel.server.response_encoding import encode_response
from fenchel.server.routing import Router
from fenchel.server.sync_socket import SyncSockets

logger = logging.getLogger(__name__)


class ApiApplication:
    """`running_count` requests are being answered; `drain` lets that number fall to zero.

    `answers` go out without coming here; what they cost is not counted as a running request.
    """

    def __init__(
        self,
        *,
        router: Router,
        http_actions: HttpActions,
        sync_sockets: SyncSockets,
        runtime: Runtime,
    ) -> None:
        self._router = router
        self._http_actions = http_actions
        self._sync_sockets = sync_sockets
        self._runtime = runtime
        self._settings = runtime.settings.server
        self._deadlines = Deadlines(self._settings.request_seconds_max)
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.running_count = 0
        REQUESTS_RUNNING.set_function(lambda: self.running_count)
        self.answers = AnswerCache(runtime.clock, bytes_max=self._settings.answer_cache_bytes_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._sync_sockets.serve(scope, receive, send)
            return
        assert scope["type"] == "http", "the server is configured without lifespan events"
        request = Request(scope, receive, self._runtime)
        if is_http_action_path(request.path):
            await self._serve_http_action(request, send)
            return
        start = self._runtime.clock.monotonic()
        response = await self._respond(request)
        response = await encode_response(response, request.headers.get("accept-encoding", ""))
        headers = cors_headers(request)
        is_head_only = request.method == "HEAD"
        if response.file is not None:
            await send_file(response, headers, send, is_head_only=is_head_only)
        else:
            tail = encode_tail(response, headers, is_head_only=is_head_only)
            await request.respond(response.status, tail)
            if response.repeat is not None and request.answer_key is not None:
                self.answers.store(request.answer_key, tail, response.repeat)
        self._report(request, response, self._runtime.clock.monotonic() - start)

    async def _serve_http_action(self, request: Request, send: Send) -> None:
        """No headers of ours, no compression, no time limit: the app decides."""
        start = self._runtime.clock.monotonic()
        try:
            self._begin()
            try:
                status, response = await self._http_actions.serve(request, send)
            finally:
                self._end()
        except FenchelError as error:
            response = error_response(error, request.request_id)
            status = response.status
        if response is not None:
            tail = encode_tail(response, (), is_head_only=request.method == "HEAD")
            await request.respond(status, tail)
        sent = response or Response(status=status)
        self._report(request, sent, self._runtime.clock.monotonic() - start)

    async def drain(self, *, seconds_max: float) -> None:
        """Refuse new requests and wait for the running ones, at most until the deadline."""
        self._is_draining = True
        self.answers.close()
        try:
            async with asyncio.timeout(seconds_max):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("drain deadline reached running=%d", self.running_count)

    async def _respond(self, request: Request) -> Response:
        if is_preflight(request):
            return preflight_response(request)
        try:
            return await self._handle(request)
        except FenchelError as error:
            if error.code == "InternalServerError":
                logger.error("request failed request_id=%s error=%s", request.request_id, error)
            return error_response(error, request.request_id)
        except Exception as error:
            logger.error("request failed request_id=%s", request.request_id, exc_info=error)
            return error_response(internal_error(repr(error)), request.request_id)

    async def _handle(self, request: Request) -> Response:
        self._begin()
        try:
            handler = self._router.find(request.method, request.path)
            with self._deadlines.start() as request.deadline:
                return await handler(request)
        except TimeoutError as error:
            if request.deadline is None or not request.deadline.has_expired:
                raise
            raise overloaded("SystemTimeoutError", "The request took too long.") from error
        finally:
            self._end()

    def _begin(self) -> None:
        """One more running request, until `_end`. Raises: TooManyConcurrentRequests."""
        if self._is_draining or self.running_count >= self._settings.concurrent_requests_max:
            REQUESTS_REFUSED.inc()
            raise overloaded("TooManyConcurrentRequests", "The server is busy. Try again later.")
        self.running_count += 1
        self._idle.clear()

    def _end(self) -> None:
        self.running_count -= 1
        if self.running_count == 0:
            self._idle.set()

    def _report(self, request: Request, response: Response, seconds: float) -> None:
        REQUEST_SECONDS.observe((request.method, response.status), seconds)
        logger.info(
            "request request_id=%s method=%s path=%s function=%s status=%d code=%s ms=%.1f",
            request.request_id,
            request.method,
            request.path,
            response.function or "-",
            response.status,
            response.error_code or "-",
            seconds * 1000,
        )
