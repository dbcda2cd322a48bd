"""`convex run --inline-query`: a query that is not deployed (deploy-protocol 3.2)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.end_to_end.fenchel_server import ConvexApp


@pytest.fixture
def noted(app: ConvexApp, topic: str) -> str:
    """The topic, with one note."""
    app.convex("run", "notes:add", json.dumps({"topic": topic, "body": "one"}))
    return topic


def run(app: ConvexApp, source: str) -> CompletedProcess[str]:
    return app.convex("run", "--inline-query", source)


def test_an_expression_reads_documents(app: ConvexApp, noted: str) -> None:
    query = f'ctx.db.query("notes").filter(q => q.eq(q.field("topic"), "{noted}")).collect()'
    (found,) = json.loads(run(app, f"(await {query}).map((note) => note.body)").stdout)
    assert found == "one"


def test_statements_call_deployed_queries_and_log(app: ConvexApp, noted: str) -> None:
    done = run(
        app,
        f'const notes = await ctx.runQuery("notes:list", {{ topic: "{noted}" }}); '
        "console.log(notes.length); return notes;",
    )
    assert json.loads(done.stdout) == ["one"]
    assert "[LOG] 1" in done.stderr


def test_a_module_imports_what_is_deployed(app: ConvexApp, noted: str) -> None:
    done = run(
        app,
        'import { list } from "./notes.js"; export default query({ handler: async (ctx) => '
        f'typeof list + (await list(ctx, {{ topic: "{noted}" }})) }});',
    )
    assert json.loads(done.stdout) == "functionone"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('await ctx.db.insert("notes", { topic: "t", body: "b" })', "insert is not a function"),
        ("await fetch('http://127.0.0.1/')", "fetch"),
        ("throw new Error('on purpose')", "on purpose"),
        ("1 +", "does not compile"),
        ("export default query(", "does not compile"),
        ("export default 1; query(() => 1)", "no default export that is a query"),
    ],
)
def test_mistakes_are_told_at_once(app: ConvexApp, source: str, text: str) -> None:
    done = run(app, source)
    assert done.returncode == 1
    assert text in done.stdout + done.stderr
