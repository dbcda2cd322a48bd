"""The official CLI generates the same code here and elsewhere (deploy-protocol 2.15, 4.6)."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.end_to_end.fenchel_server import HERE, ConvexApp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.end_to_end.fenchel_server import FenchelServer

# The least that the CLI accepts: nothing in it tells of the app.
ANSWERS = {
    "/api/get_config_hashes": {
        "config": {"functions": "convex/"},
        "moduleHashes": [],
        "udfServerVersion": None,
        "nodeVersion": None,
    },
    "/api/deploy2/start_push": {
        "environmentVariables": {},
        "externalDepsId": None,
        "componentDefinitionPackages": {},
        "appAuth": [],
        "analysis": {
            "": {
                "definition": {
                    "path": "",
                    "definitionType": {"type": "app"},
                    "childComponents": [],
                    "httpMounts": {},
                    "exports": {"type": "branch", "branch": []},
                },
                "schema": None,
                "functions": {},
                "udfConfig": {"serverVersion": "1.48.0"},
            }
        },
        "app": {
            "definitionPath": "",
            "componentPath": "",
            "args": {},
            "childComponents": {},
            "httpRoutes": {"httpModuleRoutes": None, "mounts": []},
            "exports": {},
        },
        "schemaChange": {"allocatedComponentIds": {}, "schemaIds": {}},
    },
}


class Elsewhere(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: tests read what they assert."""


@contextmanager
def elsewhere() -> Iterator[str]:
    """The address of a deployment that says the least."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever, name="elsewhere", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def generated(app: ConvexApp) -> dict[str, bytes]:
    done = app.convex("codegen")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = app.folder / "convex/_generated"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_generated_code_is_the_same_everywhere(server: FenchelServer, tmp_path: Path) -> None:
    here = ConvexApp.copy(HERE / "app", tmp_path / "here", server=server)
    there = ConvexApp.copy(HERE / "app", tmp_path / "there", server=server)
    with elsewhere() as url:
        expected = generated(replace(there, url=url))
    assert set(expected) >= {"api.d.ts", "api.js", "dataModel.d.ts", "server.d.ts", "server.js"}
    assert generated(here) == expected
