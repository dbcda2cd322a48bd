"""Small apps, each for one layout or feature, deployed by the official CLI (npm, unmodified)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps.app_case import case_names, read_case

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from _pytest.mark import ParameterSet


def parameters() -> list[ParameterSet]:
    return [
        pytest.param(name, marks=[pytest.mark.slow] if read_case(name, {}).slow else [])
        for name in case_names()
    ]


@pytest.mark.parametrize("name", parameters())
def test_the_app_does_what_it_expects(name: str, outcomes: Mapping[str, Future[None]]) -> None:
    outcomes[name].result()


def test_the_matrix_is_as_large_as_promised() -> None:
    assert len(case_names()) >= 25
