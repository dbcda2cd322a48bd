"""One HTTP request: headers, query and a bounded body, read at most once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.runtime import Deadline, Runtime
from fenchel.server.answer_cache import AnswerKey
from fenchel.server.body_encoding import decode_body
from fenchel.server.http_protocol import (
    ANSWER_KEY,
    CONNECTION,
    RESPOND,
    TAKE_BODY,
    Connection,
    Respond,
    TakeBody,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_Body = TypeVar("_Body")

_JSON_CONTENT_TYPE = re.compile(r"\s*application/([\w.-]+\+)?json\s*(;|$)", re.IGNORECASE)
# How much of a body that is too large is read before the answer.
_DISCARDED_BYTES_MAX = 256 << 20
# Adopted from the caller only if it can stand in a log line and in an error text.
_REQUEST_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Request:
    """Headers are looked up by lower-case name; of several equal ones the last counts."""

    def __init__(self, scope: Scope, receive: Receive, runtime: Runtime) -> None:
        self._receive = receive
        self.method: str = scope["method"]
        self.path = collapse_slashes(scope["path"])
        # As they came, for those who hand them on.
        self.raw_path: bytes = scope["raw_path"]
        self.raw_query: bytes = scope["query_string"]
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers = decode_headers(scope)
        self.query = decode_query(scope)
        # Under which an answer may be kept for equal requests; None if it is for this one only.
        self.answer_key: AnswerKey | None = scope["state"].get(ANSWER_KEY)
        # Sends a complete response: status, and all that follows the headers of all responses.
        # Taken out, because it knows the scope: nothing would free the two before the next search
        # for garbage.
        self.respond: Respond = scope["state"].pop(RESPOND)
        self.connection: Connection = scope["state"].pop(CONNECTION)
        self._take_body: TakeBody = scope["state"].pop(TAKE_BODY)
        # Set while a handler runs; the body of an upload moves it.
        self.deadline: Deadline | None = None
        client = scope.get("client")
        self.client_ip: str | None = client[0] if client else None
        given_id = self.headers.get("convex-request-id", "")
        self.request_id = (
            given_id if _REQUEST_ID.fullmatch(given_id) else runtime.randomness.token_bytes(8).hex()
        )

    def extend_deadline(self) -> None:
        """Give the handler the full time again: for long bodies that keep arriving."""
        if self.deadline is not None:
            self.deadline.extend()

    async def read_body(self, bytes_max: int, *, code: str = "BadJsonBody") -> bytes:
        """The body as it was sent. Raises: `code` if it is longer than `bytes_max`;
        ClientDisconnect.
        """
        whole = self._take_body()
        if whole is not None:
            if len(whole) > bytes_max:
                raise body_too_large(bytes_max, code)
            return whole
        chunks: list[bytes] = []
        size = 0
        body = self.stream_body()
        async for chunk in body:
            size += len(chunk)
            if size > bytes_max:
                await _discard_rest(body)
                raise body_too_large(bytes_max, code)
            chunks.append(chunk)
        return b"".join(chunks)

    async def stream_body(self) -> AsyncIterator[bytes]:
        """The body as it was sent, piece by piece. Raises: ClientDisconnect."""
        is_more = True
        while is_more:
            piece, is_more = await self.receive_piece()
            yield piece

    async def receive_piece(self) -> tuple[bytes, bool]:
        """The next piece of the body, and whether more will come. Raises: ClientDisconnect."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise FenchelError(
                ErrorKind.CLIENT_DISCONNECT, "ClientDisconnect", "The client went away."
            )
        return message.get("body", b""), message.get("more_body", False)

    async def read_json(self, body_type: type[_Body], *, bytes_max: int) -> _Body:
        """The JSON body, decompressed if it says so. Raises: BadJsonBody (client-protocol 2.1)."""
        if not _JSON_CONTENT_TYPE.match(self.headers.get("content-type", "")):
            raise bad_request(
                "BadJsonBody", "Expected request with `Content-Type: application/json`."
            )
        body = await self.read_body(bytes_max)
        encoding = self.headers.get("content-encoding", "identity")
        return decode_json_body(decode_body(body, encoding, bytes_max=bytes_max), body_type)


async def _discard_rest(body: AsyncIterator[bytes]) -> None:
    """Read on without keeping anything: most clients read the answer only after they have sent
    all, and closing with unread data would reset the connection before they see it.
    """
    discarded = 0
    async for chunk in body:
        discarded += len(chunk)
        if discarded >= _DISCARDED_BYTES_MAX:
            return


def decode_json_body(body: bytes, body_type: type[_Body]) -> _Body:
    """Raises: BadJsonBody."""
    try:
        return msgspec.json.decode(body, type=body_type)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise bad_request("BadJsonBody", f"The request body is not valid: {error}") from error


def body_too_large(bytes_max: int, code: str = "BadJsonBody") -> FenchelError:
    return bad_request(code, f"The request body is larger than {bytes_max} bytes.")


def collapse_slashes(path: str) -> str:
    """Clients configured with a trailing slash ask for `//api/…` (deploy-protocol 1.10)."""
    return "/" + path.lstrip("/") if path.startswith("//") else path


def decode_headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def decode_query(scope: Scope) -> dict[str, str]:
    """Query parameters; of several equal ones the last counts."""
    text = scope["query_string"]
    if not text:
        return {}
    parsed = parse_qs(text.decode("latin-1"), keep_blank_values=True)
    return {name: values[-1] for name, values in parsed.items()}
