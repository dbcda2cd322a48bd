import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bundleApp } from "./app_bundle.ts";
import { FIXTURE, setUp } from "./setup.ts";
import { buildSnapshot } from "./worker_process.ts";

describe("a snapshot that was rehearsed", async () => {
  test("holds code that one without does not", async () => {
    const app = await bundleApp(FIXTURE, ["messages.ts"]);
    const [plain, rehearsed] = [
      await buildSnapshot(app, {}, false),
      await buildSnapshot(app, {}, true),
    ];
    assert.ok(plain.ok && rehearsed.ok);
    // Two snapshots of the same differ by some hundred bytes.
    assert.ok(rehearsed.snapshot.length - plain.snapshot.length > 20_000);
  });

  test("comes of an app with a function that takes all room for buffers and goes on", async () => {
    const app = await bundleApp(FIXTURE, ["greedy.ts"]);
    assert.ok((await buildSnapshot(app, { heapMiB: 48, bufferMiB: 0 }, true)).ok);
  });

  test("comes of an app with functions that do not end, and shows nothing of what was called", async () => {
    const { result } = await setUp(true);
    const fresh = { calls: 0, trace: null, patched: false };
    assert.deepEqual(await result("query", "probe:traces"), fresh);
  });
});
