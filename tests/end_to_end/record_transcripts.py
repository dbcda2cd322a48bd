"""`python -m tests.end_to_end.record_transcripts`: writes the transcripts that test_transcripts.py
replays, by driving the official clients against a server. To be run when the version of a client
changes; what has changed is then seen in the diff.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.end_to_end.fenchel_server import HERE, ConvexApp, FenchelServer, free_port
from tests.end_to_end.npm_client import NpmClient, NpmClientError, npm_client
from tests.end_to_end.recording_proxy import RecordingProxy, recording_proxy
from tests.end_to_end.transcript import TOPIC, save

SPECIAL_VALUES = [
    {"$integer": "AQAAAAAAAAA="},
    {"$bytes": "AAEC"},
    {"$float": "AAAAAAAA+H8="},
    {"$float": "AAAAAAAAAIA="},
]


async def record_npm_http(_proxy: RecordingProxy, url: str, topic: str) -> None:
    async with npm_client("http", url) as client:
        await _make_calls(client, topic)


async def record_npm_websocket(proxy: RecordingProxy, url: str, topic: str) -> None:
    async with npm_client("websocket", url) as client:
        notes = client.subscribe("notes:list", topic=topic)
        await notes.next()
        await client.mutation("notes:add", topic=topic, body="seen live")
        await notes.next()
        await _make_calls(client, topic)
        failing = client.subscribe("probe:refuse")
        await _fail(failing.next())
        await client.unsubscribe(failing)
        await client.query("notes:list", topic=f"{topic}, after the unsubscription")
        await proxy.cut()
        await client.mutation("notes:add", topic=topic, body="after the cut")
        await notes.next()


async def _make_calls(client: NpmClient, topic: str) -> None:
    await client.query("notes:list", topic=f"{topic}, calls")
    for value in SPECIAL_VALUES:
        await client.query("probe:echo", value=value)
    await client.action("probe:speakByAction", value=[1, "two", None])
    await _fail(client.query("probe:refuse"))
    await _fail(client.query("probe:fail"))
    await _fail(client.query("probe:hidden"))
    await _fail(client.query("notes:missing"))
    await _fail(client.query("notes:list", topic=1))
    await _fail(client.mutation("notes:list", topic=topic))
    await _fail(client.mutation("notes:addThenFail", topic=f"{topic}, calls"))
    await client.mutation("notes:add", topic=f"{topic}, calls", body="yes")


async def _fail(call: Awaitable[object]) -> None:
    try:
        value = await call
    except NpmClientError:
        return
    raise AssertionError(f"the call should have failed: {value}")


async def record_python(_proxy: RecordingProxy, url: str, topic: str) -> None:
    program = HERE / "clients/python_clients.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, url, topic, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


RECORDINGS: dict[str, Callable[[RecordingProxy, str, str], Awaitable[None]]] = {
    "npm_http": record_npm_http,
    "npm_websocket": record_npm_websocket,
    "python": record_python,
}


async def record(server: FenchelServer) -> None:
    for name, recording in RECORDINGS.items():
        async with recording_proxy(server.url) as (proxy, url):
            topic = f"{TOPIC} of {name}"
            await recording(proxy, url, topic)
        save(name, proxy.entries, topic)


def main() -> None:
    with TemporaryDirectory() as folder:
        server = FenchelServer(
            data_folder=Path(folder) / "data", port=free_port(), site_port=free_port()
        )
        server.start()
        try:
            ConvexApp.copy(HERE / "app", Path(folder) / "app", server=server).deploy()
            asyncio.run(record(server))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
