"""`AsyncLocalStorage`: the store follows every way on which code goes on later."""

from __future__ import annotations

import json

from fenchel.isolate import ModuleSource
from fenchel.udf import FunctionResult
from tests.function_runner.harness import running_app

MODULE = """
const { AsyncLocalStorage, AsyncResource } = globalThis;
const storage = new AsyncLocalStorage();
const other = new AsyncLocalStorage({ defaultValue: "none" });
const query = (run) => Object.assign(() => {}, {
  isQuery: true, isPublic: true,
  exportArgs: () => '{"type":"any"}', exportReturns: () => "null",
  invokeQuery: async () => JSON.stringify(await run()),
});
const action = (run) => Object.assign(() => {}, {
  isAction: true, isPublic: true,
  exportArgs: () => '{"type":"any"}', exportReturns: () => "null",
  invokeAction: async () => JSON.stringify(await run()),
});

async function walk(name, seen) {
  for (let step = 0; step < 5; step++) {
    await (step % 2 ? undefined : Promise.resolve());
    seen.push([name, storage.getStore()]);
  }
  await Promise.all([1, 2].map(async () => { await null; seen.push([name, storage.getStore()]); }));
  try { await Promise.reject(new Error("x")); } catch { seen.push([name, storage.getStore()]); }
  for await (const item of generate()) seen.push([name, item]);
}

async function* generate() {
  await null;
  yield storage.getStore();
}

/** Two walks side by side: each sees its own store at each step. */
export const interleaved = query(async () => {
  const seen = [];
  await Promise.all(["a", "b"].map((name) => storage.run(name, () => walk(name, seen))));
  return [seen.length, seen.every(([name, store]) => name === store), storage.getStore() ?? null];
});

export const nested = query(async () =>
  storage.run(1, async () => {
    const inner = await storage.run(2, async () => { await null; return storage.getStore(); });
    const outside = storage.exit(() => storage.getStore() ?? null);
    return [inner, storage.getStore(), outside, other.getStore()];
  }));

export const entered = query(async () => {
  storage.enterWith("kept");
  await null;
  return storage.getStore();
});

export const fresh = query(async () => { await null; return storage.getStore() ?? null; });

export const bound = query(async () => {
  const [snapshot, resource] = storage.run("s", () =>
    [AsyncLocalStorage.snapshot(), new AsyncResource("r")]);
  const callback = storage.run("c", () => AsyncLocalStorage.bind(() => storage.getStore()));
  return [snapshot(() => storage.getStore()), callback(),
    resource.runInAsyncScope(() => storage.getStore()), storage.getStore() ?? null];
});

export const callbacks = action(async () => {
  const later = (start) => new Promise((resolve) => start(() => resolve(storage.getStore())));
  return await storage.run("t", () => Promise.all([
    later((done) => setTimeout(done, 1)), later(queueMicrotask),
    Promise.resolve().finally(() => {}).then(() => storage.getStore()),
  ]));
});

class Model { async own() { await null; return [this === model, arguments.length]; } }
const model = new Model();
export const methods = query(async () => [...(await model.own(1, 2)), await (async () => 5)()]);
"""

EXPECTED = {
    "interleaved": [18, True, None],
    "nested": [2, 1, None, "none"],
    "entered": "kept",
    "fresh": None,
    "bound": ["s", "c", "s", None],
    "methods": [True, 2, 5],
}


async def test_the_store_follows_the_code() -> None:
    async with running_app(modules=(ModuleSource(path="ctx.js", source=MODULE),)) as app:
        for name, expected in EXPECTED.items():
            outcome = await app.query(f"ctx:{name}")
            assert isinstance(outcome.result, FunctionResult), (name, outcome.result)
            assert json.loads(outcome.result.value_json) == expected, name
        outcome = await app.action("ctx:callbacks")
        assert isinstance(outcome.result, FunctionResult), outcome.result
        assert json.loads(outcome.result.value_json) == ["t", "t", "t"]


async def test_apps_without_it_keep_their_async_functions() -> None:
    """Stacks with `async` frames, and speed, are not given up for nothing."""
    source = (
        "export const run = Object.assign(() => {}, {isQuery: true, isPublic: true, "
        "exportArgs: () => '{\"type\":\"any\"}', exportReturns: () => 'null', "
        "invokeQuery: async () => JSON.stringify((async () => {}).constructor.name)});"
    )
    async with running_app(modules=(ModuleSource(path="plain.js", source=source),)) as app:
        outcome = await app.query("plain:run")
        assert isinstance(outcome.result, FunctionResult), outcome.result
        assert outcome.result.value_json == '"AsyncFunction"'
