"""Functions that warm realms gave up: no worker tries them again (decision 0027). Pure."""

from __future__ import annotations

from collections import OrderedDict

from fenchel.definitions import FunctionPath
from fenchel.udf import FreshCause, WhyFresh

_COUNT_MAX = 1_000


class FreshFunctions:
    """Start value: none. By code and path; those noted last, up to a bound."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, FunctionPath], WhyFresh] = OrderedDict()

    def find(self, bundle_key: str, path: FunctionPath) -> WhyFresh | None:
        """Why the function runs fresh, if it has to."""
        return self._found.get((bundle_key, path)) if self._found else None

    def note(self, bundle_key: str, path: FunctionPath, fault: str) -> None:
        """A warm realm came upon `fault`."""
        self._found[bundle_key, path] = WhyFresh(cause=FreshCause.FUNCTION, detail=fault)
        if len(self._found) > _COUNT_MAX:
            self._found.popitem(last=False)
