import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setUp } from "./setup.ts";
import type { Setup } from "./setup.ts";
import type { Outcome } from "./worker_process.ts";

const QUICK_MS = 200;

async function assertAlive({ result }: Setup): Promise<void> {
  assert.equal(
    await result("mutation", "messages:send", { author: "a", body: "b" }, () => '{"_id":"k"}'),
    "k",
  );
}

describe("limits", async () => {
  const setup = await setUp(true);
  const { bundle, run, result, worker } = setup;

  for (const name of ["endless", "endlessMicrotasks"]) {
    test(`${name} is stopped after the user time limit`, async () => {
      const { header } = await worker.runToLimit(bundle, "query", `limits:${name}`, QUICK_MS);
      assert.equal(header.kind, "timeout");
      // Of a limit by the clock, on a grid of 64 ms, four fifths at least were the function's.
      assert.ok(header.userMs >= 0.8 * QUICK_MS);
      if (name === "endless") assert.deepEqual(header.logLines[0]?.messages, ["'about to loop'"]);
      await assertAlive(setup);
    });
  }

  test("user time adds up over turns", async () => {
    const path = "limits:busyAcrossTurns";
    const { header } = await worker.runToLimit(bundle, "query", path, QUICK_MS, () => "null");
    assert.equal(header.kind, "timeout");
  });

  test("an action is stopped after its wall time", async () => {
    const { header } = await worker.runToLimit(bundle, "action", "limits:endlessAction", QUICK_MS);
    assert.equal(header.kind, "timeout");
  });

  test("a memory bomb ends only its own execution", async () => {
    const { header } = await run("query", "limits:memory", {}, undefined, {
      userTimeoutMs: 30_000,
    });
    assert.equal(header.kind, "memory");
    await assertAlive(setup);
  });

  test("an innocent execution in the isolate of a memory bomb is told to run again", async () => {
    const waiting = worker.run(
      bundle,
      "mutation",
      "messages:send",
      { author: "a", body: "b" },
      () => null,
    );
    await run("query", "limits:memory", {}, undefined, { userTimeoutMs: 30_000 });
    assert.equal((await waiting).header.kind, "system");
  });

  test("who waits with all the memory of its isolate does not take the worker along", async () => {
    const heapMiB = 48;
    const small = await worker.load(setup.app, { heapMiB, bufferMiB: 0, contextsAhead: 0 });
    let held = Promise.resolve<Outcome | null>(null);
    const waiting = new Promise<void>((resolve) => {
      held = worker.run(
        small,
        "query",
        "limits:hold",
        { pieces: 16 * heapMiB - 1 },
        () => (resolve(), null),
        { userTimeoutMs: 30_000 },
      );
    });
    await Promise.race([waiting, held]);
    const { header } = await worker.run(small, "query", "limits:deep");
    assert.equal(header.kind, "success");
    assert.equal((await held)?.header.kind, "memory");
    await assertAlive(setup);
  });

  test("too many array buffers and too deep recursion are catchable", async () => {
    assert.equal(await result("query", "limits:buffers"), "RangeError after true");
    assert.equal(await result("query", "limits:deep"), "RangeError");
  });

  test("what was first used at the end of the stack works afterwards", async () => {
    const used = await result("query", "limits:firstUsesAtTheEnd");
    assert.deepEqual(used, [true, "text", 36, "あ", "GET", 1, false, "function"]);
  });
});
