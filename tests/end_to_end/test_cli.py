"""The official `convex` CLI (npm, unmodified): deploy, dev --once, codegen, run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.fenchel_server import HERE, ConvexApp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import StartServer
    from tests.end_to_end.fenchel_server import FenchelServer

BROKEN_MODULE = """\
import { query } from "./_generated/server";

function prepare(): never {
  throw new Error("broken while loading");
}

prepare();
export const never = query({ args: {}, handler: async () => null });
"""


@pytest.fixture
def own_copy(app: ConvexApp, server: FenchelServer, tmp_path: Path) -> ConvexApp:
    """A copy of the app whose files a test may change, pointed at the shared server."""
    return ConvexApp.copy(HERE / "app", tmp_path / "app", server=server)


def test_deploying_the_same_code_again_succeeds(app: ConvexApp) -> None:
    done = app.convex("deploy")
    assert done.returncode == 0, done.stderr
    assert "Deployed Convex functions" in done.stderr


def test_dev_once_pushes_and_writes_the_address_for_the_frontend(
    own_copy: ConvexApp, server: FenchelServer
) -> None:
    done = own_copy.convex("dev", "--once")
    assert done.returncode == 0, done.stderr
    settings = (own_copy.folder / ".env.local").read_text()
    assert f"CONVEX_URL={server.url}" in settings


def test_codegen_writes_types_and_leaves_the_running_code_alone(own_copy: ConvexApp) -> None:
    (own_copy.folder / "convex/notes.ts").unlink()
    done = own_copy.convex("codegen")
    assert done.returncode == 0, done.stderr
    generated = (own_copy.folder / "convex/_generated/api.d.ts").read_text()
    assert "probe" in generated
    assert "notes" not in generated
    assert own_copy.convex("run", "notes:list", '{"topic": "none"}').returncode == 0


def test_run_prints_the_result_of_a_function(app: ConvexApp, topic: str) -> None:
    added = app.convex("run", "notes:add", json.dumps({"topic": topic, "body": "by the CLI"}))
    assert added.returncode == 0, added.stderr
    listed = app.convex("run", "notes:list", json.dumps({"topic": topic}))
    assert json.loads(listed.stdout) == ["by the CLI"]


def test_run_reaches_internal_functions(app: ConvexApp) -> None:
    assert json.loads(app.convex("run", "probe:hidden").stdout) == "only for insiders"


def test_run_acts_as_a_user(app: ConvexApp) -> None:
    identity = json.dumps({"name": "Ada"})
    shown = json.loads(app.convex("run", "probe:whoAmI", "--identity", identity).stdout)
    assert shown["name"] == "Ada"
    assert shown["tokenIdentifier"].startswith("https://convex.test|")


def test_run_prints_what_the_function_logged(app: ConvexApp) -> None:
    done = app.convex("run", "probe:speak")
    assert "[LOG] 'spoken'" in done.stderr
    assert "number: 1" in done.stderr


def test_run_shows_a_mistake_where_the_developer_made_it(app: ConvexApp) -> None:
    done = app.convex("run", "probe:fail")
    assert done.returncode == 1
    assert "the developer made a mistake" in done.stderr
    assert "convex/probe.ts:19" in done.stderr


def test_run_lists_the_functions_when_there_is_none_of_that_name(app: ConvexApp) -> None:
    done = app.convex("run", "probe:missing")
    assert done.returncode == 1
    assert "Could not find function" in done.stderr
    assert "probe:echo" in done.stderr


@pytest.mark.parametrize("command", [("deploy",), ("dev", "--once")])
def test_a_module_that_throws_fails_the_push_with_its_place(
    own_copy: ConvexApp, command: tuple[str, ...]
) -> None:
    (own_copy.folder / "convex/broken.ts").write_text(BROKEN_MODULE)
    done = own_copy.convex(*command)
    assert done.returncode == 1
    assert "broken while loading" in done.stderr
    assert "convex/broken.ts:4" in done.stderr


def test_a_failing_push_leaves_the_running_code_alone(own_copy: ConvexApp) -> None:
    (own_copy.folder / "convex/broken.ts").write_text(BROKEN_MODULE)
    probe = own_copy.folder / "convex/probe.ts"
    probe.write_text(probe.read_text().replace("only for insiders", "changed"))
    assert own_copy.convex("deploy").returncode == 1
    assert json.loads(own_copy.convex("run", "probe:hidden").stdout) == "only for insiders"


def test_a_schema_that_the_data_does_not_match_fails_the_push(
    own_copy: ConvexApp, topic: str
) -> None:
    own_copy.convex("run", "notes:add", json.dumps({"topic": topic, "body": "text"}))
    schema = own_copy.folder / "convex/schema.ts"
    schema.write_text(schema.read_text().replace("body: v.string()", "body: v.number()"))
    done = own_copy.convex("deploy", "--typecheck", "disable")
    assert done.returncode == 1
    assert "notes" in done.stderr
    assert own_copy.convex("run", "notes:list", json.dumps({"topic": topic})).returncode == 0


def test_a_wrong_admin_key_is_refused(app: ConvexApp) -> None:
    done = ConvexApp(
        folder=app.folder, url=app.url, admin_key="convex-self-hosted|0123456789abcdef"
    ).convex("deploy")
    assert done.returncode == 1
    assert "BadAdminKey" in done.stderr


def test_environment_variables_are_set_read_listed_and_removed(app: ConvexApp) -> None:
    assert app.convex("env", "set", "GREETING", "good day").returncode == 0
    assert app.convex("env", "get", "GREETING").stdout.strip() == "good day"
    assert "GREETING=good day" in app.convex("env", "list").stdout
    assert app.convex("env", "remove", "GREETING").returncode == 0
    assert "not found" in app.convex("env", "get", "GREETING").stderr


def test_data_shows_tables_and_documents(app: ConvexApp, topic: str) -> None:
    app.convex("run", "notes:add", json.dumps({"topic": topic, "body": "shown"}))
    assert "notes" in app.convex("data").stdout.split()
    assert '"shown"' in app.convex("data", "notes").stdout


def test_function_spec_lists_functions_with_their_arguments(app: ConvexApp) -> None:
    spec = json.loads(app.convex("function-spec").stdout)
    named = [function for function in spec["functions"] if "identifier" in function]
    functions = {function["identifier"]: function for function in named}
    assert functions["notes.js:add"]["functionType"] == "Mutation"
    assert functions["probe.js:hidden"]["visibility"] == {"kind": "internal"}


def test_schema_changes_say_what_becomes_of_indexes(
    start_server: StartServer, own_copy: ConvexApp
) -> None:
    """Changed, then renamed with its table, then refused because of the data."""
    server = start_server()
    app = own_copy.moved_to(server)
    app.deploy()
    app.convex("run", "notes:add", json.dumps({"topic": "t", "body": "text"}))
    schema = app.folder / "convex/schema.ts"
    original = schema.read_text()
    schema.write_text(original.replace('["topic"]', '["topic", "body"]'))
    changed = app.convex("deploy")
    assert changed.returncode == 0, changed.stderr
    assert "[+] notes.by_topic   topic, body, _creationTime" in changed.stderr
    assert json.loads(app.convex("run", "notes:list", '{"topic": "t"}').stdout) == ["text"]
    schema.write_text(original.replace("body: v.string()", "body: v.number()"))
    refused = app.convex("deploy", "--typecheck", "disable")
    assert refused.returncode == 1
    assert (
        'in table "notes" does not match the schema: Value does not match validator.\n'
        'Path: .body\nValue: "text"\nValidator: v.float64()'
    ) in refused.stderr
    schema.write_text(original.replace("notes:", "renamed:"))
    renamed = app.convex("deploy", "--typecheck", "disable")
    assert renamed.returncode == 0, renamed.stderr
    assert "[-] notes.by_topic" in renamed.stderr
    assert "[+] renamed.by_topic" in renamed.stderr
    assert '"text"' in app.convex("data", "notes").stdout, "the old table keeps its documents"
    server.stop()
