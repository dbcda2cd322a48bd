"""Pushes of the official CLI (npm `convex`, unmodified) that end too early or meet another one."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fenchel.testing import ServedBackend, served_backend
from tests.end_to_end.fenchel_server import (
    HERE,
    NODE,
    ConvexApp,
    FenchelServer,
    clean_environment,
    end_group,
    free_port,
)
from tests.end_to_end.push_gate import PushGate, push_gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASHES = "/api/get_config_hashes"
START = "/api/deploy2/start_push"
WAIT = "/api/deploy2/wait_for_schema"
FINISH = "/api/deploy2/finish_push"
ABANDONED_SECONDS = 16 * 60
PUSH_SECONDS_MAX = 180.0

FUNCTIONS = """\
import { query } from "./_generated/server";
export const version = query({ args: {}, handler: async () => "%s" });
"""
SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ rows: defineTable({ n: v.number() }).index("%s", ["n"]) });
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[ServedBackend]:
    with served_backend() as backend:
        yield backend


@pytest.fixture
def app(backend: ServedBackend, tmp_path: Path) -> ConvexApp:
    """An app whose old version is deployed and whose new one is in its folder."""
    app = ConvexApp(
        folder=write_app(tmp_path / "app"), url=backend.url, admin_key=backend.admin_key
    )
    return deploy_old(app)


def write_app(folder: Path) -> Path:
    (folder / "convex").mkdir(parents=True)
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    (folder / "package.json").write_bytes((HERE / "package.json").read_bytes())
    return folder


def write_version(app: ConvexApp, version: str) -> None:
    (app.folder / "convex/app.ts").write_text(FUNCTIONS % version)
    (app.folder / "convex/schema.ts").write_text(SCHEMA % f"by_{version}")


def deploy_old(app: ConvexApp) -> ConvexApp:
    write_version(app, "old")
    app.deploy()
    write_version(app, "new")
    return app


def ask(app: ConvexApp, path: str) -> Any:
    """The value of a query, system queries included."""
    headers = {"Authorization": f"Convex {app.admin_key}", "Content-Type": "application/json"}
    body = {"path": path, "args": {}, "format": "convex_encoded_json"}
    request = urllib.request.Request(
        f"{app.url}/api/query", json.dumps(body).encode(), headers=headers
    )
    with urllib.request.urlopen(request, timeout=PUSH_SECONDS_MAX) as response:
        return json.load(response)["value"]


def pending_schema(app: ConvexApp) -> str | None:
    found = ask(app, "_system/frontend/getSchemas:default").get("inProgress")
    assert found is None or isinstance(found, str)
    return found


def start_deploy(app: ConvexApp, gate: PushGate) -> subprocess.Popen[bytes]:
    """`convex deploy` through the gate; somebody is going to kill it."""
    environment = {
        "CI": "1",
        "CONVEX_SELF_HOSTED_URL": gate.url,
        "CONVEX_SELF_HOSTED_ADMIN_KEY": app.admin_key,
    }
    return subprocess.Popen(
        [NODE, app.folder / "node_modules/convex/bin/main.js", "deploy"],
        cwd=app.folder,
        env=clean_environment() | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize("step", [HASHES, START, WAIT, FINISH])
def test_a_cli_that_is_killed_leaves_one_version_or_the_other(
    backend: ServedBackend, app: ConvexApp, step: str
) -> None:
    """Killed when the step was done and it had not heard of it."""
    with push_gate(app.url) as gate:
        gate.answered[step] = lambda: cli.kill()
        cli = start_deploy(app, gate)
        assert cli.wait(PUSH_SECONDS_MAX) < 0
        end_group(cli)
    assert ask(app, "app:version") == ("new" if step == FINISH else "old")
    assert (pending_schema(app) is not None) == (step in (START, WAIT))
    backend.advance_clock(ABANDONED_SECONDS)
    assert pending_schema(app) is None


@pytest.fixture(scope="module")
def fragile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FenchelServer]:
    """Keeps its data on disk; whoever kills it starts it again."""
    folder = tmp_path_factory.mktemp("fragile") / "data"
    server = FenchelServer(data_folder=folder, port=free_port(), site_port=free_port())
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize(
    ("place", "step", "version"),
    [("answered", START, "old"), ("arrived", FINISH, "old"), ("answered", FINISH, "new")],
)
def test_a_server_that_is_killed_comes_back_with_one_version(
    fragile_server: FenchelServer, tmp_path: Path, place: str, step: str, version: str
) -> None:
    server = fragile_server
    folder = write_app(tmp_path / "app")
    app = deploy_old(ConvexApp(folder=folder, url=server.url, admin_key=server.admin_key()))

    def kill_both() -> None:
        server.kill()
        cli.kill()

    with push_gate(app.url) as gate:
        (gate.arrived if place == "arrived" else gate.answered)[step] = kill_both
        cli = start_deploy(app, gate)
        cli.wait(PUSH_SECONDS_MAX)
        end_group(cli)
    server.start()
    assert ask(app, "app:version") == version
    assert pending_schema(app) is None


def test_of_two_pushes_with_schemas_the_later_one_wins(
    backend: ServedBackend, app: ConvexApp, tmp_path: Path
) -> None:
    other = replace(app, folder=write_app(tmp_path / "other"))
    write_version(other, "other")
    with push_gate(app.url) as gate:
        gate.arrived[WAIT] = other.deploy
        done = replace(app, url=gate.url).convex("deploy")
    assert done.returncode == 1
    assert "Schema was overwritten by another push" in done.stderr
    assert ask(app, "app:version") == "other"


def test_variables_that_change_meanwhile_stop_the_push(
    backend: ServedBackend, app: ConvexApp
) -> None:
    def change() -> None:
        assert app.convex("env", "set", "MEANWHILE", "changed").returncode == 0

    with push_gate(app.url) as gate:
        gate.arrived[FINISH] = change
        done = replace(app, url=gate.url).convex("deploy")
    assert done.returncode == 1
    assert "Environment variables changed during the push" in done.stderr
    assert ask(app, "app:version") == "old"
