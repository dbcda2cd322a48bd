"""`import()` between pushed modules becomes a call of the runtime, which knows who may (execution
1.3). Left to the linker it would work in queries and mutations too.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterable, Sequence

from fenchel.isolate.code_bundle import ModuleSource

# As esbuild prints it: a text with nothing in it to be computed, maybe below comments for bundlers,
# each of which is taken in one way only: a row of them must not be tried in all ways.
_IMPORT = re.compile(
    r"""(?<![\w$.#])import\((?P<comments>(?:\s|/\*.*?\*/)*+)"""
    r"""(?P<specifier>(?P<quote>["'])(?P<path>\.{1,2}/[^"'\\\n]+)(?P=quote))(?=\s*\))""",
    re.DOTALL,
)


class DynamicImports:
    """Numbers the modules that are imported so, `targets`, while `rewrite` goes through those of a
    bundle. What it writes is as long as what it replaces: source maps stay true.
    """

    def __init__(self, modules: Sequence[ModuleSource]) -> None:
        self.targets: list[str] = []
        self._paths = {module.path for module in modules}
        self.name = _unused_name(module.source for module in modules)

    def rewrite(self, module: ModuleSource) -> str:
        """The source with a call `name(0, number)` for each `import()` of another module."""
        folder = posixpath.dirname(module.path)

        def call(found: re.Match[str]) -> str:
            target = posixpath.normpath(posixpath.join(folder, found["path"]))
            if target not in self._paths:
                return found[0]
            arguments = f"0,{self._number(target)}".ljust(len(found["specifier"]))
            return f"{self.name}({found['comments']}{arguments}"

        return _IMPORT.sub(call, module.source)

    def _number(self, target: str) -> int:
        if target not in self.targets:
            self.targets.append(target)
        return self.targets.index(target)


def _unused_name(sources: Iterable[str]) -> str:
    """A name as long as `import` that stands nowhere."""
    texts = tuple(sources)
    names = (f"_im{number:03}" for number in itertools.count())
    return next(name for name in names if not any(name in text for text in texts))
