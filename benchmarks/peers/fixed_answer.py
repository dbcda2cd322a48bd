"""A server that answers everything with one fixed list: what the generator is measured on.

Usage: python -m benchmarks.peers.fixed_answer PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

from benchmarks.load import LIST_LENGTH
from benchmarks.peers.http_peer import FILL_BODY

DOCUMENTS = [
    {
        "_creationTime": 1_700_000_000_000.0 - number,
        "_id": f"{number:032d}",
        "author": "seed",
        "body": FILL_BODY,
        "channel": "channel-0",
    }
    for number in range(LIST_LENGTH)
]
BODY = json.dumps({"status": "success", "value": DOCUMENTS}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class FixedAnswer(asyncio.Protocol):
    """Takes each read for one request, which holds for the closed loop of the generator."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(FixedAnswer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
