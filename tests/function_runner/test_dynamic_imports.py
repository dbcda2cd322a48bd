"""`import()` is for actions, `import.meta` for nobody."""

from __future__ import annotations

from fenchel.isolate import ModuleSource
from tests.function_runner.harness import running_app
from tests.function_runner.test_in_process_function_runner import error_of, value_of

MAIN = """
const registered = (kind, invoke) => (run) => Object.assign(() => {}, {
  [`is${kind}`]: true, isPublic: true,
  exportArgs: () => '{"type":"any"}', exportReturns: () => "null",
  [`invoke${kind}`]: async () => JSON.stringify(await run()),
});
const query = registered("Query"), mutation = registered("Mutation"), action = registered("Action");

const early = import("../_deps/C.js").then(() => "loaded", (error) => String(error));
const load = async () => {
  const first = await import("../_deps/C.js");
  const [second, other] = await Promise.all([import("../_deps/C.js"), import("../other.js")]);
  return [first.count, first.add(), first === second, other.name, await early];
};
export const inQuery = query(load);
export const inMutation = mutation(load);
export const inAction = action(load);
export const ofNone = action(() => import(["./", "C.js"].join("")));
export const caught = query(async () => {
  try { await load(); } catch (error) { return [error instanceof TypeError, String(error)]; }
});
export const meta = query(async () => import.meta.url);
"""
MODULES = (
    ModuleSource(path="a/main.js", source=MAIN),
    ModuleSource(path="other.js", source='export const name = "other";'),
    ModuleSource(
        path="_deps/C.js", source="export let count = 0; export const add = () => ++count;"
    ),
)
REFUSED = "TypeError: dynamic module import unsupported"


async def test_import_is_for_actions_and_its_meta_for_nobody() -> None:
    async with running_app(modules=MODULES) as app:
        for _ in range(2):  # every execution has its own modules
            loaded = value_of(await app.action("a/main:inAction"))
            assert loaded == [0, 1, True, "other", REFUSED]
        for outcome in (await app.query("a/main:inQuery"), await app.mutation("a/main:inMutation")):
            error = error_of(outcome)
            assert error.message == f"Uncaught {REFUSED}"
            assert error.frames[0].text == "at load (a/main.js:11:23)"
        assert value_of(await app.query("a/main:caught")) == [True, REFUSED]
        assert "Not supported" in error_of(await app.action("a/main:ofNone")).message
        meta = error_of(await app.query("a/main:meta"))
        assert meta.message == "Uncaught TypeError: import.meta unsupported"
