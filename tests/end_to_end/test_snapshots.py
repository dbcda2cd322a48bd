"""`convex export` and `convex import` of the official CLI (npm, unmodified)."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.fenchel_server import HERE, ConvexApp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.fenchel_server import FenchelServer

ROWS = [{"n": 1.0, "text": "Ä"}, {"n": 2.5, "text": "plain"}]
FILES = {
    "csv": "n,text\n1,Ä\n2.5,plain\n",
    "jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
    "json": json.dumps(ROWS),
}


@pytest.fixture(scope="module")
def own_app(
    start_server: Callable[[], FenchelServer], tmp_path_factory: pytest.TempPathFactory
) -> ConvexApp:
    """The test app on a server of its own: replacing all tables must not disturb other tests."""
    folder = tmp_path_factory.mktemp("snapshots") / "app"
    deployed = ConvexApp.copy(HERE / "app", folder, server=start_server())
    deployed.deploy()
    return deployed


def succeed(app: ConvexApp, *arguments: str) -> str:
    """What the CLI printed for a command that must succeed."""
    done = app.convex(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(app: ConvexApp, table: str) -> list[dict[str, object]]:
    listed = succeed(app, "data", table, "--format", "jsonLines", "--order", "asc")
    return [json.loads(line) for line in listed.splitlines() if line.startswith("{")]


def without_system_fields(found: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{k: v for k, v in row.items() if not k.startswith("_")} for row in found]


@pytest.mark.parametrize("extension", FILES)
def test_a_file_becomes_a_table(own_app: ConvexApp, tmp_path: Path, extension: str) -> None:
    table = f"from_{extension}"
    file = tmp_path / f"rows.{extension}"
    file.write_text(FILES[extension])
    assert "Added 2 documents" in succeed(own_app, "import", "--table", table, str(file))
    assert without_system_fields(rows(own_app, table)) == ROWS


def test_a_table_with_documents_is_kept_unless_the_command_says_otherwise(
    own_app: ConvexApp, tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(FILES["jsonl"])
    into_table = ("import", "--table", "kept", str(file))
    succeed(own_app, *into_table)
    refused = own_app.convex(*into_table)
    assert refused.returncode == 1
    assert "Table kept already exists." in refused.stderr
    succeed(own_app, *into_table, "--append")
    asked = own_app.convex(*into_table, "--replace")
    assert asked.returncode == 1
    assert "Import change summary:" in asked.stderr
    assert len(rows(own_app, "kept")) == 4
    assert "4 of 4" in succeed(own_app, *into_table, "--replace", "-y")
    assert without_system_fields(rows(own_app, "kept")) == ROWS


def test_an_export_restores_everything_here_and_elsewhere(
    own_app: ConvexApp, start_server: Callable[[], FenchelServer], tmp_path: Path
) -> None:
    succeed(own_app, "run", "notes:add", '{"topic": "export", "body": "kept"}')
    before = rows(own_app, "notes")
    first = tmp_path / "first.zip"
    succeed(own_app, "export", "--path", str(first), "--include-file-storage")
    succeed(own_app, "run", "notes:add", '{"topic": "export", "body": "too late"}')

    succeed(own_app, "import", "--replace-all", "-y", str(first))
    assert rows(own_app, "notes") == before
    assert json.loads(succeed(own_app, "run", "notes:list", '{"topic": "export"}')) == ["kept"]

    other = own_app.moved_to(start_server())
    succeed(other, "import", "-y", str(first))
    succeed(other, "export", "--path", str(tmp_path))
    (second,) = tmp_path.glob("snapshot_*.zip")
    assert documents_of(second) == documents_of(first)


def test_mistakes_are_told_and_change_nothing(own_app: ConvexApp, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n{"a": \n')
    done = own_app.convex("import", "--table", "broken", str(file))
    assert done.returncode == 1
    assert "Hit an error while importing" in done.stderr
    assert "Row 2 wasn't valid JSON" in done.stderr

    file.write_text('{"unknown": true}\n')
    before = rows(own_app, "notes")
    done = own_app.convex("import", "--table", "notes", "--replace", "-y", str(file))
    assert done.returncode == 1
    assert "does not match the schema" in done.stderr
    assert rows(own_app, "notes") == before


def documents_of(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {
            name: opened.read(name)
            for name in opened.namelist()
            if name.endswith("documents.jsonl") and not name.startswith("_storage")
        }
