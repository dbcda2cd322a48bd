"""Which components, tables and columns a streaming export wants (database specification 10.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fenchel.documents import ID_FIELD
from fenchel.errors import FenchelError, bad_request
from fenchel.values import Value

_OTHER = "_other"
_INCLUSIONS = {"included": True, "incl": True, "excluded": False, "excl": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSelection:
    """Columns by name, and whether those that are not named belong to it. `_id` always does."""

    named: Mapping[str, bool] = field(default_factory=dict)
    has_others: bool = True

    @property
    def is_everything(self) -> bool:
        return self.has_others and all(self.named.values())

    def pick(self, value: Mapping[str, Value]) -> dict[str, Value]:
        return {n: item for n, item in value.items() if self.named.get(n, self.has_others)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSelection:
    """Tables by name; None for one that is excluded."""

    named: Mapping[str, ColumnSelection | None] = field(default_factory=dict)
    has_others: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSelection:
    """Components by path; None for one that is excluded."""

    named: Mapping[str, TableSelection | None] = field(default_factory=dict)
    has_others: bool = True

    def columns_of(self, component: str, table: str) -> ColumnSelection | None:
        """What is wanted of a table; None if nothing is."""
        if component not in self.named:
            return _ALL_COLUMNS if self.has_others else None
        tables = self.named[component]
        if tables is None:
            return None
        if table not in tables.named:
            return _ALL_COLUMNS if tables.has_others else None
        return tables.named[table]


_ALL_COLUMNS = ColumnSelection()


def select(*, table: str | None, component: str | None) -> ExportSelection:
    """One table (of the app unless a component is given), one component, or everything."""
    if table is None and component is None:
        return ExportSelection()
    tables = TableSelection()
    if table is not None:
        tables = TableSelection(named={table: _ALL_COLUMNS}, has_others=False)
    return ExportSelection(named={component or "": tables}, has_others=False)


def decode_selection(parsed: Any) -> ExportSelection:
    """The selection of parsed JSON: objects by component, table and column, each with `_other`.

    Raises: BadSelection.
    """
    components, has_others = _decode_level(parsed, "the selection")
    named = {path: _decode_tables(path, tables) for path, tables in components.items()}
    return ExportSelection(named=named, has_others=has_others)


def _decode_tables(path: str, parsed: Any) -> TableSelection | None:
    if _is_excluded(parsed):
        return None
    tables, has_others = _decode_level(parsed, f"component {path!r}")
    named = {name: _decode_columns(name, columns) for name, columns in tables.items()}
    return TableSelection(named=named, has_others=has_others)


def _decode_columns(table: str, parsed: Any) -> ColumnSelection | None:
    if _is_excluded(parsed):
        return None
    columns, has_others = _decode_level(parsed, f"table {table!r}")
    named = {name: _decode_inclusion(item, f"column {name!r}") for name, item in columns.items()}
    if not named.get(ID_FIELD, has_others):
        raise _bad_selection(f"table {table!r} needs its column `_id`")
    return ColumnSelection(named=named, has_others=has_others)


def _decode_level(parsed: Any, what: str) -> tuple[dict[str, Any], bool]:
    """What is named, and whether everything else belongs to it."""
    if not isinstance(parsed, dict) or _OTHER not in parsed:
        raise _bad_selection(f'{what} must be an object with "{_OTHER}"')
    named = {name: item for name, item in parsed.items() if name != _OTHER}
    return named, _decode_inclusion(parsed[_OTHER], f'"{_OTHER}" of {what}')


def _decode_inclusion(parsed: Any, what: str) -> bool:
    is_included = _INCLUSIONS.get(parsed) if isinstance(parsed, str) else None
    if is_included is None:
        raise _bad_selection(f'{what} must be "included" or "excluded"')
    return is_included


def _is_excluded(parsed: Any) -> bool:
    return isinstance(parsed, str) and _INCLUSIONS.get(parsed) is False


def _bad_selection(reason: str) -> FenchelError:
    return bad_request("BadSelection", f"The selection is not valid: {reason}.")
