"""Recorded transcripts of the official clients, said again to the server: it must answer as it did.

How the server puts results into Transitions depends on what it can do at once, so not they are
compared but what they tell: each answer, and the results of each query in their order.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.end_to_end.transcript import TS_ZERO, load, put_aside

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import FenchelServer

pytestmark = pytest.mark.usefixtures("app")
ANSWER_SECONDS_MAX = 90.0
SESSION_ID = "7c1c9b1e-6f2d-4b59-9a52-3f0f6c1d2a10"


@dataclass(slots=True)
class Knowledge:
    """What a client knows after some messages of a server."""

    answers: list[Any] = field(default_factory=list)
    results: dict[int, list[Any]] = field(default_factory=dict)
    version: Any = None
    last_ts: str = TS_ZERO

    def learn(self, message: dict[str, Any]) -> None:
        """Raises AssertionError for a Transition that does not follow the one before it."""
        match message["type"]:
            case "MutationResponse" | "ActionResponse":
                self.answers.append(put_aside(message))
            case "Transition":
                self._step(message["startVersion"], message["endVersion"])
                for change in message["modifications"]:
                    self._change(put_aside(change))
            case "Ping":
                pass
            case kind:
                raise AssertionError(f"unexpected message {kind}: {message}")

    def _step(self, start: dict[str, Any], end: dict[str, Any]) -> None:
        assert self.version in (None, start), (self.version, start)
        self.version = end
        if end["ts"] != TS_ZERO:
            self.last_ts = end["ts"]

    def _change(self, change: dict[str, Any]) -> None:
        results = self.results.setdefault(change["queryId"], [])
        if change["type"] != "QueryRemoved" and change not in results[-1:]:
            results.append(change)

    def includes(self, other: Knowledge) -> bool:
        """Whether everything that the other knows has been said here, too."""
        return len(self.answers) >= len(other.answers) and all(
            len(self.results.get(query_id, ())) >= len(results)
            for query_id, results in other.results.items()
        )


@pytest.mark.parametrize("name", ["npm_http", "npm_websocket", "python"])
async def test_the_server_answers_as_recorded(name: str, server: FenchelServer, topic: str) -> None:
    entries = load(name, topic)
    async with aiohttp.ClientSession(server.url) as session:
        last_ts = TS_ZERO
        for position, entry in enumerate(entries):
            if "request" in entry:
                await replay_request(session, entry)
            elif "open" in entry:
                last_ts = await replay_connection(session, entries[position:], last_ts)


async def replay_request(session: aiohttp.ClientSession, entry: dict[str, Any]) -> None:
    request, expected = entry["request"], entry["response"]
    async with session.request(
        request["method"], request["path"], json=request["body"], headers=request["headers"]
    ) as response:
        assert {"status": response.status, "body": put_aside(await response.json())} == expected


async def replay_connection(
    session: aiohttp.ClientSession, entries: list[dict[str, Any]], last_ts: str
) -> str:
    """Up to the close of the connection; gives the last timestamp that it told."""
    expected, known = Knowledge(), Knowledge(last_ts=last_ts)
    async with session.ws_connect(entries[0]["open"], headers=entries[0]["headers"]) as socket:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            for entry in entries[1:]:
                if "client" in entry:
                    await listen(socket, known, expected)
                    await socket.send_json(fill_in(entry["client"], known.last_ts))
                elif "server" in entry:
                    expected.learn(entry["server"])
                else:
                    break
            await listen(socket, known, expected)
    assert known.answers == expected.answers
    assert known.results == expected.results
    return known.last_ts


async def listen(
    socket: aiohttp.ClientWebSocketResponse, known: Knowledge, expected: Knowledge
) -> None:
    """Until the server has said what it had said here in the recording."""
    while not known.includes(expected):
        known.learn(await socket.receive_json())


def fill_in(message: dict[str, Any], last_ts: str) -> dict[str, Any]:
    """What was put aside comes back, as the client would have it now."""
    values = {"clientTs": 0, "sessionId": SESSION_ID, "maxObservedTimestamp": last_ts}
    return message | {key: value for key, value in values.items() if key in message}
