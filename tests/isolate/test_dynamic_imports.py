"""Which `import()` becomes a call of the runtime, and that nothing moves for it."""

from __future__ import annotations

import pytest

from fenchel.isolate.code_bundle import ModuleSource
from fenchel.isolate.dynamic_imports import DynamicImports


def rewrite(source: str, path: str = "a/m.js") -> tuple[str, list[str]]:
    module = ModuleSource(path=path, source=source)
    chunk = ModuleSource(path="_deps/C.js", source="export const x = 1;")
    imports = DynamicImports([module, chunk])
    return imports.rewrite(module), imports.targets


@pytest.mark.parametrize("comments", ["", "/* @vite-ignore */ ", "\n  /* one */\n  /* two */\n  "])
def test_an_import_of_another_module_is_a_call_of_the_same_length(comments: str) -> None:
    source = f'const m = await import({comments}"../_deps/C.js"); m.x;'
    rewritten, targets = rewrite(source)
    assert rewritten == f"const m = await _im000({comments}{'0,0'.ljust(15)}); m.x;"
    assert len(rewritten) == len(source)
    assert targets == ["_deps/C.js"]


def test_a_module_has_one_number() -> None:
    rewritten, targets = rewrite("import('../_deps/C.js'), import('./m.js'), import('./m.js')")
    assert rewritten.split() == ["_im000(0,0", "),", "_im000(0,1", "),", "_im000(0,1", ")"]
    assert targets == ["_deps/C.js", "a/m.js"]


@pytest.mark.parametrize(
    "source",
    [
        'import("./gone.js")',
        "import(name)",
        'import("../_deps/C.js" + name)',
        'wallet.import("../_deps/C.js")',
        'reimport("../_deps/C.js")',
        'import "../_deps/C.js";',
    ],
)
def test_everything_else_stays(source: str) -> None:
    assert rewrite(source) == (source, [])


def test_the_name_stands_nowhere_else() -> None:
    assert rewrite("import('./m.js'); _im000 + _im001")[0].startswith("_im002(0,0")


def test_a_row_of_comments_is_read_once() -> None:
    """In all the ways in which it could be cut, it would take for ever."""
    source = f"import({'/**/' * 1_000}elsewhere)"
    assert rewrite(source) == (source, [])
