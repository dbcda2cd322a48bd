"""Flags of the official CLI (npm `convex`, unmodified) that the other tests leave out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.fenchel_server import HERE, ConvexApp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.fenchel_server import FenchelServer

ROWS = [{"n": float(n)} for n in range(3)]


@pytest.fixture(scope="module")
def counted(app: ConvexApp, tmp_path_factory: pytest.TempPathFactory) -> ConvexApp:
    """The shared app, with three rows in a table of these tests."""
    file = tmp_path_factory.mktemp("rows") / "rows.txt"
    file.write_text(json.dumps(ROWS))
    succeed(app, "import", "--table", "counted", "--format", "jsonArray", str(file))
    return app


def succeed(app: ConvexApp, *arguments: str) -> str:
    """What the command printed to its standard output."""
    done = app.convex(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def numbers(rows: list[dict[str, float]]) -> list[float]:
    return [row["n"] for row in rows]


def test_data_is_ordered_limited_and_formatted(counted: ConvexApp) -> None:
    newest = succeed(counted, "data", "counted", "--limit", "2", "--format", "jsonArray")
    assert numbers(json.loads(newest)) == [2.0, 1.0]
    oldest = succeed(counted, "data", "counted", "--order", "asc", "--format", "jsonl")
    assert numbers([json.loads(line) for line in oldest.splitlines()]) == [0.0, 1.0, 2.0]
    assert "_creationTime" in succeed(counted, "data", "counted", "--format", "pretty")


def test_data_of_unknown_and_of_system_tables(counted: ConvexApp) -> None:
    unknown = counted.convex("data", "unknown")
    assert "There are no documents in this table." in unknown.stdout + unknown.stderr
    system = counted.convex("data", "_storage")
    assert system.returncode == 0, system.stderr


def test_imports_that_cannot_be(counted: ConvexApp, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1\n")
    short = counted.convex("import", "--table", "short", str(file))
    assert short.returncode == 1
    assert "Hit an error while importing" in short.stderr
    nameless = counted.convex("import", str(file))
    assert nameless.returncode == 1
    assert "--table" in nameless.stderr
    archive = tmp_path / "rows.zip"
    archive.write_bytes(b"no archive")
    damaged = counted.convex("import", str(archive))
    assert damaged.returncode == 1
    assert "Hit an error while importing" in damaged.stderr
    assert "short" not in succeed(counted, "data").split()


def test_function_spec_as_a_file(counted: ConvexApp) -> None:
    succeed(counted, "function-spec", "--file")
    (file,) = counted.folder.glob("function_spec_*.json")
    spec = json.loads(file.read_text())
    file.unlink()
    assert spec["url"] == counted.url
    assert "notes.js:add" in {found.get("identifier") for found in spec["functions"]}


def test_variables_from_a_file(counted: ConvexApp, tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text('FROM_FILE="first value"\n# a comment\nFROM_FILE_TOO=second\n')
    succeed(counted, "env", "set", "--from-file", str(file))
    assert succeed(counted, "env", "get", "FROM_FILE").strip() == "first value"
    file.write_text("FROM_FILE=changed\n")
    kept = counted.convex("env", "set", "--from-file", str(file))
    assert kept.returncode == 1
    assert succeed(counted, "env", "get", "FROM_FILE").strip() == "first value"
    succeed(counted, "env", "set", "--from-file", str(file), "--force")
    names = succeed(counted, "env", "list", "--names-only")
    assert {"FROM_FILE", "FROM_FILE_TOO"} <= set(names.split())
    assert "changed" not in names
    succeed(counted, "env", "remove", "FROM_FILE")
    succeed(counted, "env", "rm", "FROM_FILE_TOO")


def test_a_variable_that_cannot_be(counted: ConvexApp) -> None:
    done = counted.convex("env", "set", "1st", "x")
    assert done.returncode == 1
    assert "400 Bad Request: EnvironmentVariableNameInvalid" in done.stderr


def test_run_pushes_first_when_asked(server: FenchelServer, tmp_path: Path) -> None:
    copy = ConvexApp.copy(HERE / "app", tmp_path / "app", server=server)
    (copy.folder / "convex/pushed.ts").write_text(
        'import { query } from "./_generated/server";\n'
        'export default query({ args: {}, handler: async () => "pushed" });\n'
    )
    pushed = succeed(copy, "run", "--push", "pushed")
    assert json.loads(pushed) == "pushed"


def test_flags_of_the_cloud_are_refused_at_once(counted: ConvexApp) -> None:
    for command in (("run", "probe:hidden"), ("env", "list")):
        done = counted.convex(*command, "--prod")
        assert done.returncode == 1, done.stdout
        assert "self-hosted" in done.stderr.lower(), done.stderr
