"""What an import would change, as the CLI shows it before it asks (database specification 10.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = ("table", "create", "delete")
_BACKGROUND = (
    "Once the import has started, it will run in the background.\n"
    "Interrupting `npx convex import` will not cancel it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """Numbers of documents, or of files if the table is `_storage`."""

    component: str = ""
    name: str
    created: int
    deleted: int
    existing: int


def render_changes(changes: Sequence[TableChange]) -> str:
    """A small table for each component, and that the import runs in the background."""
    lines = ["Import change summary:"]
    for component in sorted({change.component for change in changes}):
        if component:
            lines.append(f"Component {component}")
        lines += _render_table([change for change in changes if change.component == component])
    return "\n".join([*lines, _BACKGROUND])


def _render_table(changes: Sequence[TableChange]) -> list[str]:
    rows = [_HEAD]
    rows += [
        (change.name, f"{change.created:,}", f"{change.deleted:,} of {change.existing:,}")
        for change in sorted(changes, key=lambda change: change.name)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return lines
