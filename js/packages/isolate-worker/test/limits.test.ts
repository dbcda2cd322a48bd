import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setUp } from "./setup.ts";
import type { Setup } from "./setup.ts";

// Patient: a busy machine must not turn a timeout into "starved".
const QUICK = { userTimeoutMs: 200, patience: 6 };

async function assertAlive({ result }: Setup): Promise<void> {
  assert.equal(
    await result("mutation", "messages:send", { author: "a", body: "b" }, () => '{"_id":"k"}'),
    "k",
  );
}

describe("limits", async () => {
  const setup = await setUp(true);
  const { run, result } = setup;

  for (const name of ["endless", "endlessMicrotasks"]) {
    test(`${name} is stopped after the user time limit`, async () => {
      const { header } = await run("query", `limits:${name}`, {}, undefined, QUICK);
      assert.equal(header.kind, "timeout");
      assert.ok(header.userMs >= 200 && header.userMs < 1500);
      if (name === "endless") assert.deepEqual(header.logLines[0]?.messages, ["'about to loop'"]);
      await assertAlive(setup);
    });
  }

  test("user time adds up over turns", async () => {
    const { header } = await run("query", "limits:busyAcrossTurns", {}, () => "null", QUICK);
    assert.equal(header.kind, "timeout");
  });

  test("an action is stopped after its wall time", async () => {
    assert.equal(
      (await run("action", "limits:endlessAction", {}, undefined, QUICK)).header.kind,
      "timeout",
    );
  });

  test("a memory bomb ends only its own execution", async () => {
    const { header } = await run("query", "limits:memory", {}, undefined, {
      userTimeoutMs: 30_000,
    });
    assert.equal(header.kind, "memory");
    await assertAlive(setup);
  });

  test("an innocent execution in the isolate of a memory bomb is told to run again", async () => {
    const { worker, bundle } = setup;
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

  test("too many array buffers and too deep recursion are catchable", async () => {
    assert.equal(await result("query", "limits:buffers"), "RangeError after true");
    assert.equal(await result("query", "limits:deep"), "RangeError");
  });
});
