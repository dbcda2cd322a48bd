"""Identifiers: names of tables, indexes, functions and validated fields."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def is_identifier(text: str) -> bool:
    """1 to 64 characters: letter or underscore, then letters, digits, underscores; not only
    underscores.

    Source: execution specification 4.5, database specification 3.4.
    """
    return _IDENTIFIER.fullmatch(text) is not None and text.strip("_") != ""
