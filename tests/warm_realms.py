"""`pytest --warm-realms`: every bundle runs in warm realms from its first execution on (decision
0027), in the workers of the tests and of the servers that they start.
"""

from __future__ import annotations

import os

import pytest

from fenchel.runtime.settings import IsolateSettings

# So many that functions which call those of other components find realms too.
_VALUES = {"warm_realms_max": 4, "warm_after_executions": 0}


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--warm-realms",
        action="store_true",
        help="run every query and mutation in warm realms from the first execution on, unless a "
        "test sets these settings itself",
    )


def force() -> None:
    """Change the defaults of this process, and those of its children by their environment."""
    defaults = IsolateSettings.__init__.__kwdefaults__
    assert defaults is not None
    assert _VALUES.keys() <= defaults.keys()
    defaults.update(_VALUES)
    os.environ["FENCHEL_SET"] = " ".join(f"isolate.{name}={n}" for name, n in _VALUES.items())
