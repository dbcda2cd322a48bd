"""An HTTP action's request and the client's end of its exchange (execution 1.8): types only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# As they stand on the wire; several of the same name are allowed.
HeaderPairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequestHead:
    """`url` is what user code sees, `path` what the router looks at; both percent-encoded."""

    method: str
    url: str
    path: str
    headers: HeaderPairs
    has_body: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponseHead:
    """`body_bytes` is the length of the body, None if it is not known yet."""

    status: int
    headers: HeaderPairs
    body_bytes: int | None


class HttpClient(Protocol):
    """Whoever sent the request and waits for the response.

    `respond` comes first and once, then `write` any number of times, then `finish`; a response that
    is not finished is seen to be broken off. Or `respond_whole` comes alone. All of them return
    when the client keeps up. `response_bytes` is how long the body of the response is so far, with
    what was too much of it.
    """

    @property
    def response_bytes(self) -> int: ...

    @property
    def response_bytes_max(self) -> int: ...

    async def read(self) -> bytes:
        """The next bytes of the request's body, none at its end.

        Raises: FenchelError of a developer kind if it is too large or stays away.
        """
        ...

    def cancel(self) -> None:
        """Nobody will read on."""
        ...

    async def respond(self, head: HttpResponseHead) -> None:
        """Raises: ClientDisconnect."""
        ...

    async def write(self, chunk: bytes) -> None:
        """Raises: ClientDisconnect; HttpResponseTooLarge, after what was still allowed."""
        ...

    async def finish(self) -> None:
        """Raises: ClientDisconnect."""
        ...

    async def respond_whole(self, head: HttpResponseHead, body: bytes) -> None:
        """What the three do with one chunk. `head.body_bytes` is its length. Raises: as they."""
        ...

    async def wait_gone(self) -> None:
        """Return when the client is not there any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExchange:
    """`on_route` is called once, before user code of the action runs, with the component that has
    the route and `GET /path`.
    """

    head: HttpRequestHead
    client: HttpClient
    on_route: Callable[[str, str], None]
