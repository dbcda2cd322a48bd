"""An HTTP server between the official CLI and a deployment, at which a push can be stopped."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_SECONDS_MAX = 180.0


@dataclass(slots=True, kw_only=True)
class PushGate:
    """What happens when a request for a path arrives, or when it was answered and its caller has
    not heard of it yet. Each happens once.
    """

    url: str
    server_url: str
    arrived: dict[str, Callable[[], None]] = field(default_factory=dict)
    answered: dict[str, Callable[[], None]] = field(default_factory=dict)

    def forward(self, request: BaseHTTPRequestHandler) -> None:
        """Pass a request on, and its answer back."""
        self.arrived.pop(request.path, _nothing)()
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        server = http.client.HTTPConnection(urlsplit(self.server_url).netloc, timeout=_SECONDS_MAX)
        with contextlib.closing(server):
            server.request(request.command, request.path, body, dict(request.headers.items()))
            response = server.getresponse()
            content = response.read()
        self.answered.pop(request.path, _nothing)()
        request.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("date", "connection", "transfer-encoding", "content-length"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


def _nothing() -> None:
    """No hook stands at this place."""


@contextmanager
def push_gate(server_url: str) -> Iterator[PushGate]:
    """A gate on the loopback interface; it closes with the block."""
    gate = PushGate(url="", server_url=server_url)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            # Whoever waited at either side may have been killed.
            with contextlib.suppress(OSError, http.client.HTTPException):
                gate.forward(self)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Nothing: tests read what they assert."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gate.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="push gate", daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
