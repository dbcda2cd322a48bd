"""Where the apps are, and waiting for what they do in the background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from convex import ConvexClient

HERE = Path(__file__).resolve().parent


def wait_for(
    client: ConvexClient,
    path: str,
    is_wanted: Callable[[Any], bool],
    args: dict[str, Any] | None = None,
) -> Any:
    """The first value of a subscription that is wanted; the time limit of the test ends it."""
    return next(value for value in client.subscribe(path, args or {}) if is_wanted(value))
