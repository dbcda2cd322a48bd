"""What streaming exports are asked for (database specification 10.7)."""

from __future__ import annotations

from typing import Any

import pytest

from fenchel.application import decode_selection, select
from fenchel.errors import FenchelError

SELECTION: dict[str, Any] = {
    "_other": "included",
    "": {
        "_other": "excl",
        "users": {"_other": "included", "ssn": "excluded"},
        "posts": {"_other": "excluded", "_id": "included", "title": "incl"},
        "drafts": "excluded",
    },
    "child": "excluded",
    "other": {"_other": "included", "logs": "excluded"},
}


@pytest.mark.parametrize(
    ("component", "table", "columns"),
    [
        ("", "users", {"_id", "title"}),
        ("", "posts", {"_id", "title"}),
        ("", "drafts", None),
        ("", "unnamed", None),
        ("child", "users", None),
        ("other", "logs", None),
        ("other", "users", {"_id", "title", "ssn"}),
        ("unnamed", "users", {"_id", "title", "ssn"}),
    ],
)
def test_a_selection_by_component_table_and_column(
    component: str, table: str, columns: set[str] | None
) -> None:
    found = decode_selection(SELECTION).columns_of(component, table)
    document = {"_id": "i", "title": "t", "ssn": "s"}
    assert (None if found is None else set(found.pick(document))) == columns


def test_the_older_arguments() -> None:
    everything = select(table=None, component=None)
    of_app = select(table="t", component=None)
    of_child = select(table="t", component="child")
    child = select(table=None, component="child")
    wanted = {
        place: [
            selection.columns_of(*place) is not None
            for selection in (everything, of_app, of_child, child)
        ]
        for place in [("", "t"), ("", "u"), ("child", "t"), ("child", "u")]
    }
    assert wanted == {
        ("", "t"): [True, True, False, False],
        ("", "u"): [True, False, False, False],
        ("child", "t"): [True, False, True, True],
        ("child", "u"): [True, False, False, True],
    }


@pytest.mark.parametrize(
    "parsed",
    [
        *(None, 5, "included", [], {}),
        {"_other": True},
        {"_other": "included", "": "included"},
        {"_other": "included", "": {}},
        {"_other": "included", "": {"_other": "included", "t": "included"}},
        {"_other": "included", "": {"_other": "included", "t": {"_other": "included", "c": {}}}},
        {"_other": "included", "": {"_other": "included", "t": {"_other": "excluded"}}},
        {
            "_other": "included",
            "": {"_other": "included", "t": {"_other": "included", "_id": "excluded"}},
        },
    ],
)
def test_what_is_no_selection(parsed: Any) -> None:
    with pytest.raises(FenchelError) as raised:
        decode_selection(parsed)
    assert raised.value.code == "BadSelection"
