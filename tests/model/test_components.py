"""Components as rows: mounted, unmounted, mounted again (execution 6.7)."""

from __future__ import annotations

from fenchel.database import ROOT, Database
from fenchel.definitions import ComponentInstance
from fenchel.model import (
    get_component,
    get_definition_path,
    list_active_namespaces,
    list_components,
    parent_paths,
    replace_components,
)


def instance(path: str, *children: ComponentInstance) -> ComponentInstance:
    return ComponentInstance(
        path=path,
        definition_path="counter" if path else "",
        name=path.rpartition("/")[2],
        args={},
        environment={},
        mounts=(),
        children=children,
    )


async def put(database: Database, *children: ComponentInstance) -> dict[str, str]:
    tx = database.begin()
    app = instance("", *children)
    changes = await replace_components(tx, app, {"": "{}", "counter": "{}"})
    await database.commit(tx)
    return dict(changes)


async def test_a_fresh_deployment_has_the_app_alone(database: Database) -> None:
    assert await list_active_namespaces(database.begin()) == [ROOT]
    assert await list_components(database.begin()) == []


async def test_a_component_keeps_its_row_while_it_is_unmounted(database: Database) -> None:
    hits = instance("hits", instance("hits/inner"))
    assert await put(database, hits) == {"": "create", "hits": "create", "hits/inner": "create"}
    ids = {c.row.path: c.id_text for c in await list_components(database.begin())}
    assert await put(database, hits) == {"": "modify", "hits": "modify", "hits/inner": "modify"}

    assert await put(database) == {"": "modify", "hits": "unmount", "hits/inner": "unmount"}
    assert await put(database) == {"": "modify"}
    tx = database.begin()
    row = await get_component(tx, "hits")
    assert row is not None
    assert not row.is_active
    assert await get_definition_path(tx, row) == "counter"
    assert await list_active_namespaces(tx) == [ROOT]

    assert await put(database, hits) == {"": "modify", "hits": "remount", "hits/inner": "remount"}
    assert {c.row.path: c.id_text for c in await list_components(database.begin())} == ids
    assert await list_active_namespaces(database.begin()) == ["", "hits", "hits/inner"]


async def test_rows_name_their_parents(database: Database) -> None:
    await put(database, instance("hits", instance("hits/inner")))
    rows = {c.row.path: c for c in await list_components(database.begin())}
    assert rows[""].row.parent is None
    assert rows["hits/inner"].row.parent == rows["hits"].id_text
    assert rows["hits/inner"].row.parent_path == "hits"


def test_the_components_above() -> None:
    assert parent_paths("") == []
    assert parent_paths("a/b") == ["a", "a/b"]
