import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bundleApp } from "./app_bundle.ts";
import { FIXTURE, setUp } from "./setup.ts";
import { WorkerProcess, buildSnapshot } from "./worker_process.ts";

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

describe("the first call in a worker, of no function", async () => {
  test("may not end: the app runs all the same", async () => {
    const app = await bundleApp(FIXTURE, ["endless_errors.ts"]);
    const { snapshot } = await buildSnapshot(app, {}, false);
    assert.ok(snapshot.length > 0);
    const worker = await WorkerProcess.start();
    const bundle = await worker.load(app, {}, snapshot);
    const { header, result } = await worker.run(bundle, "query", "endless_errors:fine");
    assert.deepEqual([header.kind, result], ["success", "1"]);
    await worker.stop();
  });
});
