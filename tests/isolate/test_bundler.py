"""Modules to one script: what fits together is bundled, what reaches outside is refused."""

import json
from pathlib import Path

import pytest

from fenchel.errors import FenchelError
from fenchel.isolate import BundleInputs, Bundler, CodeBundle, ModuleSource


def inputs(*modules: ModuleSource, **rest: object) -> BundleInputs:
    fields = {
        "environment_variables": {},
        "import_seed": bytes(32),
        "import_unix_ms": 0,
        **rest,
    }
    return BundleInputs(modules=modules, **fields)  # type: ignore[arg-type]


async def bundle(*modules: ModuleSource) -> CodeBundle:
    return await Bundler().bundle(inputs(*modules))


async def expect_refusal(source: str, text: str) -> None:
    with pytest.raises(FenchelError, match="InvalidModules") as caught:
        await bundle(ModuleSource(path="m.js", source=source))
    assert text in caught.value.message


async def test_modules_share_chunks_and_only_runnable_ones_are_named() -> None:
    made = await bundle(
        ModuleSource(path="a/b.js", source='import { x } from "../_deps/C.js"; export { x };'),
        ModuleSource(path="_deps/C.js", source="export const x = 1;"),
        ModuleSource(path="n.js", source='import "fs";', environment="node"),
    )
    assert made.modules == ("a/b.js",)
    assert b'"a/b.js": () => ' in made.script
    assert made.script.count(b"x = 1") == 1


async def test_an_entry_is_the_only_module_that_runs() -> None:
    modules = [
        ModuleSource(path="a.js", source="export const used = 1;"),
        ModuleSource(path="b.js", source="export const unused = 2;"),
        ModuleSource(path="m.js", source='export { used } from "./a.js";'),
    ]
    made = await Bundler().bundle(inputs(*modules, entry="m.js"))
    assert made.modules == ("m.js",)
    assert b"used = 1" in made.script
    assert b"unused" not in made.script
    assert made.key != (await bundle(*modules)).key


async def test_the_source_map_leads_to_the_original_source() -> None:
    source_map = {"version": 3, "sources": ["../convex/m.ts"], "names": [], "mappings": "AAAA"}
    module = ModuleSource(
        path="m.js", source="export const x = 1;", source_map=json.dumps(source_map)
    )
    made = json.loads((await bundle(module)).source_map)
    assert "../convex/m.ts" in made["sources"]
    assert "m.js" not in made["sources"]


async def test_the_source_map_knows_only_what_was_pushed() -> None:
    modules = [ModuleSource(path=f"m{n}.js", source="export const x = 1;") for n in range(3)]
    made = json.loads((await bundle(*modules)).source_map)
    assert sorted(made["sources"]) == ["m0.js", "m1.js", "m2.js"]


async def test_a_map_named_by_the_source_itself_is_not_read(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.map"
    foreign.write_text('{"version":3,"sources":["secret.ts"],"names":[],"mappings":"AAAA"}')
    source = f"export const x = 1;\n//# sourceMappingURL={foreign}"
    made = await bundle(ModuleSource(path="m.js", source=source))
    assert b"secret.ts" not in made.source_map


async def test_a_syntax_error_names_place_and_reason() -> None:
    await expect_refusal("export const = 1;", "m.js:1:13")


async def test_a_missing_import_is_named() -> None:
    await expect_refusal('import "./gone.js";', "./gone.js")


async def test_a_package_that_was_not_bundled_is_refused() -> None:
    await expect_refusal('import fs from "fs"; export default fs;', '"fs"')


async def test_top_level_await_is_refused_in_the_words_of_the_platform() -> None:
    await expect_refusal("await 1;", "Top-level awaits in source files are unsupported")


async def test_a_file_outside_the_push_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"password": "x"}')
    await expect_refusal(
        f"import x from {json.dumps(str(outside))}; export default x;", "outside.json"
    )


async def test_nothing_is_told_of_a_file_outside_the_push(tmp_path: Path) -> None:
    outside = tmp_path / "outside.js"
    outside.write_text("the password: x")
    with pytest.raises(FenchelError, match="InvalidModules") as caught:
        await bundle(ModuleSource(path="m.js", source=f"import {json.dumps(str(outside))};"))
    assert "password" not in caught.value.message
    assert caught.value.message == "A module imports outside.js, which was not pushed."


@pytest.mark.parametrize("path", ["../m.js", "/m.js", "m.ts", "a//b.js", "m"])
async def test_a_path_that_is_not_canonical_is_refused(path: str) -> None:
    with pytest.raises(FenchelError):
        await bundle(ModuleSource(path=path, source=""))


async def test_the_key_depends_on_everything_that_code_can_observe() -> None:
    module = ModuleSource(path="m.js", source="export const x = 1;")
    variants = [
        inputs(module),
        inputs(ModuleSource(path="m.js", source="export const x = 2;")),
        inputs(module, environment_variables={"A": "1"}),
        inputs(module, import_seed=b"\1" * 32),
        inputs(module, import_unix_ms=1),
    ]
    keys = [(await Bundler().bundle(variant)).key for variant in variants]
    assert len(set(keys)) == len(variants)
    assert (await Bundler().bundle(variants[0])).key == keys[0]
