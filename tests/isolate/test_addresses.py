"""How user code names another function (execution 2.11)."""

from __future__ import annotations

import pytest

from fenchel.errors import FenchelError
from fenchel.isolate.addresses import Address, resolve_address


def test_a_name_wins_over_a_reference() -> None:
    address = Address(name="a/b:f", reference="_reference/function/c:g")
    assert resolve_address(address, "").canonical == "a/b.js:f"


def test_a_reference_leads_to_a_function_of_the_component() -> None:
    path = resolve_address(Address(reference="_reference/function/c:g"), "child")
    assert (path.component, path.canonical) == ("child", "c.js:g")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address(), "Missing required argument 'name'"),
        (
            Address(reference="_reference/childComponent/x/m/f"),
            'Child component "x" not found',
        ),
        (Address(reference="api.m.f"), "Couldn't resolve api.m.f"),
        (Address(function_handle="function://h"), "does not exist in this deployment"),
    ],
)
def test_what_leads_nowhere_is_a_developer_error(address: Address, text: str) -> None:
    with pytest.raises(FenchelError) as caught:
        resolve_address(address, "")
    assert caught.value.is_developer_error
    assert text in caught.value.message
