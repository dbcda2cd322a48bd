"""`_component_definitions` and `_components`: which components the app has, and what they were
given (execution 6.7).

The app itself is the one row without a parent. A component that a push leaves out becomes
`unmounted`: its row and its data stay, so that a later push may mount it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from fenchel.database import ROOT, Namespace, Transaction
from fenchel.definitions import ComponentInstance, EnvironmentBinding
from fenchel.model.rows import decode_row, decode_stable_row, encode_row

_DEFINITIONS = "_component_definitions"
_COMPONENTS = "_components"

ComponentChange = Literal["create", "modify", "unmount", "remount"]


class Component(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`path` names the component's tables; `parent` is a row's id, None for the app.

    `http_prefix` begins and ends with a slash: the path of a child's HTTP actions below its
    parent's, or of the app's own. `args` are Value JSON texts by name. `definition_id` is None if
    only an import has named it.
    """

    definition_id: str | None
    parent: str | None
    name: str
    path: str
    args: dict[str, str]
    env: dict[str, EnvironmentBinding]
    state: Literal["active", "unmounted"]
    http_prefix: str | None = None

    @property
    def parent_path(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def is_active(self) -> bool:
        return self.state == "active"


class _DefinitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """`definition` is JSON text of what `convex.config.ts` exports."""

    path: str
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredComponent:
    """A row with its id."""

    id_text: str
    row: Component


async def get_component(tx: Transaction, path: str) -> Component | None:
    """The component at that path, mounted or not; depends on that path only."""
    rows = await tx.system().query(_COMPONENTS, "by_path", [path], limit=1)
    return decode_stable_row(rows[0], Component) if rows else None


async def list_components(tx: Transaction) -> list[StoredComponent]:
    """All rows, ascending by path; the app is the first once anything was pushed."""
    rows = await tx.system().query(_COMPONENTS, "by_path")
    return [StoredComponent(id_text=r.id_text, row=decode_stable_row(r, Component)) for r in rows]


async def list_http_mounts(tx: Transaction, path: str) -> list[tuple[str, str]]:
    """Paths of a component's mounted children that have a prefix for HTTP actions, and it."""
    parents = await tx.system().query(_COMPONENTS, "by_path", [path], limit=1)
    if not parents:
        return []
    rows = await tx.system().query(_COMPONENTS, "by_parent_and_name", [parents[0].id_text])
    children = [decode_stable_row(row, Component) for row in rows]
    return [(c.path, c.http_prefix) for c in children if c.is_active and c.http_prefix is not None]


async def list_active_namespaces(tx: Transaction) -> list[Namespace]:
    """Whose functions may run: the app and the mounted components."""
    paths = [stored.row.path for stored in await list_components(tx) if stored.row.is_active]
    return paths or [ROOT]


async def get_definition_path(tx: Transaction, component: Component) -> str | None:
    """The path of the definition that the component is an instance of, once it was pushed."""
    if component.definition_id is None:
        return None
    document = await tx.system().get(_DEFINITIONS, component.definition_id)
    assert document is not None, "a component's definition is kept"
    return decode_row(document, _DefinitionRow).path


async def create_unmounted_components(tx: Transaction, path: str) -> None:
    """Rows for a component that no push has brought, and for those above it, as far as they are
    missing: an import may fill its tables before.
    """
    parent: str | None = None
    for place in (ROOT, *parent_paths(path)):
        rows = await tx.system().query(_COMPONENTS, "by_path", [place], limit=1)
        if rows:
            parent = rows[0].id_text
            continue
        row = Component(
            definition_id=None,
            parent=parent,
            name=place.rpartition("/")[2],
            path=place,
            args={},
            env={},
            state="active" if place == ROOT else "unmounted",
        )
        parent = await tx.system().insert(_COMPONENTS, encode_row(row))


async def replace_components(
    tx: Transaction, app: ComponentInstance, definitions: Mapping[str, str]
) -> dict[str, ComponentChange]:
    """Make the tree of `app` the mounted components; what happened to each, by path.

    `definitions` are JSON texts by path. Components that were unmounted before and stay so are not
    mentioned.
    """
    definition_ids = await _replace_definitions(tx, definitions)
    existing = {stored.row.path: stored for stored in await list_components(tx)}
    changes: dict[str, ComponentChange] = {}
    await _put(tx, app, None, definition_ids, existing, changes)
    for path, stored in existing.items():
        if path not in changes and stored.row.is_active:
            row = msgspec.structs.replace(stored.row, state="unmounted")
            await tx.system().replace(_COMPONENTS, stored.id_text, encode_row(row))
            changes[path] = "unmount"
    return changes


async def _put(
    tx: Transaction,
    instance: ComponentInstance,
    parent: str | None,
    definition_ids: Mapping[str, str],
    existing: Mapping[str, StoredComponent],
    changes: dict[str, ComponentChange],
) -> None:
    """Write the rows of an instance and of those below it."""
    row = Component(
        definition_id=definition_ids[instance.definition_path],
        parent=parent,
        name=instance.name,
        path=instance.path,
        args=dict(instance.args),
        env=dict(instance.environment),
        state="active",
        http_prefix=instance.http_prefix,
    )
    stored = existing.get(instance.path)
    if stored is None:
        id_text = await tx.system().insert(_COMPONENTS, encode_row(row))
        changes[instance.path] = "create"
    else:
        id_text = stored.id_text
        await tx.system().replace(_COMPONENTS, id_text, encode_row(row))
        changes[instance.path] = "modify" if stored.row.is_active else "remount"
    for child in instance.children:
        await _put(tx, child, id_text, definition_ids, existing, changes)


async def _replace_definitions(tx: Transaction, definitions: Mapping[str, str]) -> dict[str, str]:
    """Ids by path. Definitions that no push names stay: unmounted components refer to them."""
    tables = tx.system()
    ids = {}
    for row in await tables.query(_DEFINITIONS, "by_path"):
        path = decode_row(row, _DefinitionRow).path
        ids[path] = row.id_text
        if path in definitions:
            new = _DefinitionRow(path=path, definition=definitions[path])
            await tables.replace(_DEFINITIONS, row.id_text, encode_row(new))
    for path in definitions.keys() - ids.keys():
        new = _DefinitionRow(path=path, definition=definitions[path])
        ids[path] = await tables.insert(_DEFINITIONS, encode_row(new))
    return ids


def parent_paths(path: str) -> Sequence[str]:
    """The components above and including this one, the app left out: "a/b" gives "a", "a/b"."""
    names = path.split("/") if path else []
    return ["/".join(names[: count + 1]) for count in range(len(names))]
