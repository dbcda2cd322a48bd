"""What a developer leaves running: `convex dev`, `logs`, `run --watch`; and pushes that change
indexes step by step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.fenchel_server import HERE, ConvexApp
from tests.end_to_end.watching_cli import watching

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import StartServer
    from tests.end_to_end.fenchel_server import FenchelServer

EXAMPLE = HERE.parents[1] / "examples/chat"
READY = "Convex functions ready!"


@pytest.fixture(scope="module")
def own_server(start_server: StartServer) -> FenchelServer:
    """One whose code these tests may change."""
    return start_server()


@pytest.fixture(scope="module")
def own_app(own_server: FenchelServer, tmp_path_factory: pytest.TempPathFactory) -> ConvexApp:
    app = ConvexApp.copy(HERE / "app", tmp_path_factory.mktemp("app") / "app", server=own_server)
    app.deploy()
    return app


def change(app: ConvexApp, module: str, old: str, new: str) -> None:
    path = app.folder / "convex" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def hidden_text(app: ConvexApp) -> str:
    return str(json.loads(app.convex("run", "probe:hidden").stdout))


def test_dev_pushes_every_change_and_goes_on_after_a_broken_one(own_app: ConvexApp) -> None:
    with watching(own_app, "dev") as dev:
        dev.until(READY)
        change(own_app, "probe.ts", "only for insiders", "second text")
        dev.until(READY)
        assert hidden_text(own_app) == "second text"
        broken = own_app.folder / "convex/broken.ts"
        broken.write_text('throw new Error("broken while loading");\nexport {};\n')
        dev.until("broken while loading")
        assert hidden_text(own_app) == "second text"
        broken.unlink()
        change(own_app, "probe.ts", "second text", "third text")
        dev.until(READY)
        assert hidden_text(own_app) == "third text"


def test_dev_shows_the_logs_of_what_runs_meanwhile(own_app: ConvexApp) -> None:
    with watching(own_app, "dev", "--tail-logs", "always") as dev:
        dev.until(READY)
        own_app.convex("run", "probe:speak")
        assert "Q(probe:speak)" in dev.until("'spoken'")


def test_logs_begin_with_history_and_follow(own_app: ConvexApp) -> None:
    own_app.convex("run", "probe:speak")
    with watching(own_app, "logs", "--history", "10") as logs:
        assert "Q(probe:speak)" in logs.until("number: 1")
        own_app.convex("run", "probe:fail")
        assert "Q(probe:fail)" in logs.until("the developer made a mistake")
        logs.until("convex/probe.ts:19")
        assert "Function executed" not in logs.output


def test_logs_of_successes_and_as_json(own_app: ConvexApp) -> None:
    with watching(own_app, "logs", "--success") as logs:
        logs.until("Watching logs")
        own_app.convex("run", "probe:hidden")
        assert "Q(probe:hidden)" in logs.until("Function executed in")
    with watching(own_app, "logs", "--history", "5", "--jsonl", "--success") as logs:
        logs.until('"identifier":"probe:hidden"')
        logs.until("\n")
    lines = [line for line in logs.output.splitlines() if line.startswith("{")]
    completion = next(
        entry for line in lines if (entry := json.loads(line))["identifier"] == "probe:hidden"
    )
    assert completion["kind"] == "Completion"
    assert completion["udfType"] == "Query"
    assert completion["error"] is None


def test_run_watch_prints_each_new_result(own_app: ConvexApp) -> None:
    with watching(own_app, "run", "notes:list", '{"topic": "watched"}', "--watch") as run:
        run.until("[]")
        own_app.convex("run", "notes:add", '{"topic": "watched", "body": "first"}')
        run.until('"first"')
        own_app.convex("run", "notes:add", '{"topic": "watched", "body": "second"}')
        run.until('"second"')


def test_an_index_is_staged_enabled_used_staged_again_and_removed(own_app: ConvexApp) -> None:
    declared = '.index("by_topic", ["topic"])'

    def deploy(index: str) -> str:
        change(own_app, "schema.ts", state["index"], index)
        state["index"] = index
        done = own_app.convex("deploy")
        assert done.returncode == 0, done.stderr
        return done.stderr

    def use(name: str) -> None:
        change(own_app, "notes.ts", state["used"], f'"{name}"')
        state["used"] = f'"{name}"'

    state = {"index": declared, "used": '"by_topic"'}
    own_app.convex("run", "notes:add", '{"topic": "staged", "body": "text"}')
    staged = declared + '.index("by_both", { fields: ["topic", "body"], staged: true })'
    assert "Added staged table indexes:\n  [+] notes.by_both   topic, body" in deploy(staged)
    enabled = declared + '.index("by_both", ["topic", "body"])'
    use("by_both")
    assert "These indexes are now enabled:\n  [*] notes.by_both" in deploy(enabled)
    assert json.loads(own_app.convex("run", "notes:list", '{"topic": "staged"}').stdout) == ["text"]
    assert "These indexes are now staged:\n  [*] notes.by_both" in deploy(staged)
    refused = own_app.convex("run", "notes:list", '{"topic": "staged"}')
    assert "Index notes.by_both is currently staged and not available to query" in refused.stderr
    use("by_topic")
    assert "Deleted table indexes:\n  [-] notes.by_both   topic, body" in deploy(declared)
    assert json.loads(own_app.convex("run", "notes:list", '{"topic": "staged"}').stdout) == ["text"]


def test_a_type_is_staged_and_compared_with_the_documents(own_app: ConvexApp) -> None:
    declared = '.index("by_topic", ["topic"])'

    def deploy(before: str, after: str) -> None:
        change(own_app, "schema.ts", before, after)
        done = own_app.convex("deploy")
        assert done.returncode == 0, done.stderr

    def staged() -> list[dict[str, object]]:
        """How documents compare with what is staged, once the server has looked."""
        while True:
            shown = own_app.convex("run", "_system/frontend/getSchemas", "{}")
            found: list[dict[str, object]] = json.loads(shown.stdout).get("staged", [])
            if all(item["state"] != "pending" for item in found):
                return found

    own_app.convex("run", "notes:add", '{"topic": "typed", "body": "text"}')
    narrow = declared + ".staged({ topic: v.string(), body: v.null() })"
    deploy(declared, narrow)
    [failed] = staged()
    assert (failed["tableName"], failed["state"]) == ("notes", "failed")
    assert "Path: .body" in str(failed["error"])
    wide = declared + ".staged({ topic: v.string(), body: v.string() })"
    deploy(narrow, wide)
    assert staged() == [{"tableName": "notes", "state": "valid", "error": None}]
    deploy(wide, declared)


def test_a_type_error_fails_the_push_and_leaves_the_code_alone(
    start_server: StartServer, tmp_path: Path
) -> None:
    """The chat example, because its packages hold the TypeScript compiler."""
    app = ConvexApp.copy(EXAMPLE, tmp_path / "chat", server=start_server())
    app.deploy()
    before = app.convex("function-spec").stdout
    (app.folder / "convex/wrong.ts").write_text('export const count: number = "text";\n')
    done = app.convex("deploy")
    assert done.returncode == 1
    assert "Found 1 error in convex/wrong.ts" in done.stderr
    assert app.convex("function-spec").stdout == before
    (app.folder / "convex/wrong.ts").unlink()
    app.deploy()


def test_the_network_test_passes(own_app: ConvexApp) -> None:
    done = own_app.convex("network-test", "--timeout", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WebSocket connection established" in done.stderr
    assert "Network test passed" in done.stderr


def test_what_only_the_cloud_has_is_refused_by_the_cli_at_once(own_app: ConvexApp) -> None:
    insights = own_app.convex("insights")
    assert insights.returncode == 1
    assert "Insights are only available for cloud deployments" in insights.stderr
    dashboard = own_app.convex("dashboard", "--no-open")
    assert "not supported for self-hosted deployments" in dashboard.stderr
