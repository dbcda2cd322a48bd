from __future__ import annotations

from fenchel.application.imports.change_summary import TableChange, render_changes


def test_the_table_lists_what_comes_and_goes() -> None:
    changes = [
        TableChange(name="messages", created=20, deleted=21, existing=21),
        TableChange(name="big", created=100_000, deleted=0, existing=5),
    ]
    assert render_changes(changes).splitlines() == [
        "Import change summary:",
        "table    | create  | delete   |",
        "-------------------------------",
        "big      | 100,000 | 0 of 5   |",
        "messages | 20      | 21 of 21 |",
        "Once the import has started, it will run in the background.",
        "Interrupting `npx convex import` will not cancel it.",
    ]
