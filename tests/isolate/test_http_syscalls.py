"""An HTTP action on a scripted worker: what is known of its request when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fenchel.udf import HttpExchange, HttpRequestHead, UdfType
from tests.isolate.requests import make_request
from tests.isolate.test_worker_pool import BUNDLE, MEMORY, bench, error_text

READS_TWICE = """
id = await_execution()
for call in (1, 2):
    send(67, id, [[call, "fenchel/readStream"]], {"stream": 1})
    receive()
outcome(id, b"", kind="memory")
receive()
"""


class Client:
    """Sends four bytes, then one, then more than anybody asks for."""

    def __init__(self) -> None:
        self._chunks: Iterator[bytes] = iter((b"four", b"1", b"unread"))

    async def read(self) -> bytes:
        return next(self._chunks)

    def cancel(self) -> None:
        pass


async def test_memory_that_ran_out_is_told_with_what_was_read(tmp_path: Path) -> None:
    head = HttpRequestHead(method="POST", url="http://x/a", path="/a", headers=(), has_body=True)
    client: Any = Client()
    callbacks: Any = None
    exchange = HttpExchange(head=head, client=client, on_route=lambda component, route: None)
    async with bench(tmp_path, READS_TWICE) as b:
        outcome = await b.pool.run_action(
            BUNDLE, make_request(UdfType.HTTP_ACTION), callbacks, b.host, exchange
        )
    assert error_text(outcome) == f"{MEMORY}: request stream size was 5 bytes"
