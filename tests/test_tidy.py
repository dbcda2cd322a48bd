"""The source itself is tested: banned calls, long files, traces of one machine, room faces."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/fenchel"
FILE_LINES_MAX = 800
# The ratchet: files longer than 500 lines, with the length they may have. Entries only shrink.
LONG_FILES: dict[str, int] = {}
FILE_LINES_GOAL = 500
FUNCTION_LINES_MAX = 70

BANNED_CALLS = {
    "time.time": "the clock of the runtime",
    "time.time_ns": "the clock of the runtime",
    "time.monotonic": "the clock of the runtime",
    "time.sleep": "the clock of the runtime",
    "datetime.now": "the clock of the runtime",
    "datetime.datetime.now": "the clock of the runtime",
    "datetime.utcnow": "the clock of the runtime",
    "asyncio.sleep": "the clock of the runtime",
    "random.random": "the randomness of the runtime",
    "random.randint": "the randomness of the runtime",
    "random.randbytes": "the randomness of the runtime",
    "os.urandom": "the randomness of the runtime",
    "secrets.token_bytes": "the randomness of the runtime",
    "secrets.token_hex": "the randomness of the runtime",
    "uuid.uuid4": "the randomness of the runtime",
    "print": "click.echo in the cli, a logger elsewhere",
    "pickle.loads": "msgspec",
    "pickle.dumps": "msgspec",
}
# Where a banned call has its one right place.
EXEMPT_ROOMS = {"runtime"}

MACHINE_TRACES = re.compile(
    r"/(?:work|root)/|/home/\w|/opt/(?:pypi|wheels)"
    r"|registry\.npmjs|registry\.yarnpkg|pypi\.org|pythonhosted|deb\.debian"
)
TEXT_SUFFIXES = {
    *(".py", ".ts", ".tsx", ".mjs", ".cjs", ".js", ".json", ".md", ".txt", ".toml", ".yml"),
    *(".html", ".css", ".sh", ".lock", ".cfg", ".ini", ""),
}


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that is or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = (ROOT / name for name in listed.splitlines())
    return tuple(path for path in files if path.is_file() and path.suffix in TEXT_SUFFIXES)


def source_files() -> list[Path]:
    return [path for path in tracked_files() if path.is_relative_to(SOURCE)]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    """The room a source file belongs to: `database` for src/fenchel/database/commit_log.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def python_trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in tracked_files():
        if path.suffix == ".py" and path.is_relative_to(folder):
            yield path, parsed(path)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def calls_in(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Dotted names of what is called, with line numbers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def test_time_chance_and_tasks_come_from_the_runtime() -> None:
    found = [
        f"{name_of(path)}:{line}: {call}: use {BANNED_CALLS[call]}"
        for path, tree in python_trees(SOURCE)
        if room_of(path) not in EXEMPT_ROOMS
        for call, line in calls_in(tree)
        if call in BANNED_CALLS
    ]
    assert not found, "\n".join(found)


def test_every_task_has_a_name_and_an_owner() -> None:
    """An owner: the task is kept, awaited or put into a task group; nothing is left to itself."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in python_trees(SOURCE)
        for statement in ast.walk(tree)
        for node in [statement.value if isinstance(statement, ast.Expr) else statement]
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".create_task")
        if not any(keyword.arg == "name" for keyword in node.keywords)
        or (isinstance(statement, ast.Expr) and ast.unparse(node.func) == "asyncio.create_task")
    ]
    assert not found, "\n".join(sorted(set(found)))


def test_tests_do_not_wait_for_time_to_pass() -> None:
    found = [
        f"{name_of(path)}:{line}"
        for path, tree in python_trees(ROOT / "tests")
        if path.name.startswith("test_")
        for call, line in calls_in(tree)
        if call in ("time.sleep", "asyncio.sleep")
        and "asyncio.sleep(0)" not in path.read_text().splitlines()[line - 1]
    ]
    assert not found, "\n".join(found)


def test_no_file_is_longer_than_agreed() -> None:
    suffixes = {".py", ".ts", ".tsx", ".mjs"}
    lengths = {
        name_of(path): len(path.read_text().splitlines())
        for path in tracked_files()
        if path.suffix in suffixes
    }
    too_long = {
        name: length
        for name, length in lengths.items()
        if length > min(FILE_LINES_MAX, LONG_FILES.get(name, FILE_LINES_GOAL))
    }
    assert too_long == {}
    assert {name for name in LONG_FILES if lengths.get(name, 0) <= FILE_LINES_GOAL} == set()


def test_no_function_is_longer_than_agreed() -> None:
    too_long = [
        f"{name_of(path)}:{node.lineno}: {node.name} has {lines_of(node)} lines"
        for path, tree in python_trees(SOURCE)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if lines_of(node) > FUNCTION_LINES_MAX
    ]
    assert not too_long, "\n".join(too_long)


def test_private_functions_are_called() -> None:
    """A merge once dropped the call of a function and nobody noticed but the slowest requests."""
    unused = []
    for path, tree in python_trees(SOURCE):
        nodes = list(ast.walk(tree))
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        unused += [
            f"{name_of(path)}:{node.lineno} {node.name}"
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and node.name.startswith("_")
            and not node.name.startswith("__")
            and node.name not in used
        ]
    assert not unused, unused


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first to the last statement, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def test_nothing_names_a_machine_or_a_registry() -> None:
    found = [
        f"{name_of(path)}: {match.group()}"
        for path in tracked_files()
        if path != Path(__file__).resolve()
        for match in [MACHINE_TRACES.search(path.read_text(errors="replace"))]
        if match
    ]
    assert not found, "\n".join(found)


def test_lock_files_record_no_download_addresses() -> None:
    locks = [path for path in tracked_files() if path.name == "package-lock.json"]
    assert locks != []
    assert [name_of(path) for path in locks if '"resolved": "http' in path.read_text()] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_python_requirements_are_locked_by_digest_alone(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert [line for line in lines if line.startswith("-") or "://" in line] == []
    pinned = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert pinned != []
    assert all(re.fullmatch(r"[\w.-]+==\S+( ; .+)? \\", line) for line in pinned)


@cache
def names_in_face(room: str) -> set[str]:
    """What `from fenchel.<room> import …` offers."""
    face = SOURCE / room / "__init__.py"
    tree = ast.parse(face.read_text()) if face.exists() else ast.Module(body=[], type_ignores=[])
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}


def test_what_a_room_offers_is_imported_from_its_face() -> None:
    """`from fenchel.database.committer import Committer` only inside the database room."""
    found = [
        f"{name_of(path)}:{node.lineno}: {alias.name} from fenchel.{parts[1]}"
        for path, tree in python_trees(SOURCE)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for parts in [node.module.split(".")]
        if parts[0] == "fenchel" and len(parts) > 2 and parts[1] != room_of(path)
        for alias in node.names
        if alias.name in names_in_face(parts[1])
    ]
    assert not found, "\n".join(found)


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name_of(path)
        for path, tree in python_trees(SOURCE)
        if path.stat().st_size and not ast.get_docstring(tree)
    ]
    assert not silent, "\n".join(silent)
