import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BOTH_WAYS, setUp } from "./setup.ts";
import { buildSnapshot } from "./worker_process.ts";
import type { Answerer } from "./worker_process.ts";

for (const { way, useSnapshot } of BOTH_WAYS) {
  describe(`errors ${way}`, async () => {
    const { run, result } = await setUp(useSnapshot);
    const errorOf = async (
      functionPath: string,
      answerer?: Answerer,
    ): Promise<{ message: string; frames: string[]; dataJson?: string }> => {
      const { header } = await run("query", functionPath, {}, answerer);
      assert.equal(header.kind, "error");
      assert.ok(header.error !== undefined);
      return header.error;
    };

    test("a stack names TypeScript lines and no frames of the library around the handler", async () => {
      const { message, frames } = await errorOf("probe:fails");
      assert.equal(message, "Uncaught TypeError: on purpose");
      assert.match(frames[0] ?? "", /^at inner \(\.\.\/convex\/probe\.ts:\d+:\d+\)$/);
      assert.match(frames[1] ?? "", /^at \.\.\/convex\/probe\.ts:\d+:\d+$/);
      assert.equal(frames.length, 2);
    });

    test("user code sees the mapped stack too", async () => {
      const stack = String(await result("query", "probe:failsSeen"));
      assert.match(
        stack,
        /^TypeError: on purpose\n {4}at inner \(\.\.\/convex\/probe\.ts:\d+:\d+\)\n/,
      );
      assert.doesNotMatch(stack, /udf-runtime|app\.js/);
    });

    test("ConvexError carries its data as Value JSON", async () => {
      const { message, dataJson } = await errorOf("probe:failsWithData");
      assert.match(message, /^Uncaught ConvexError: /);
      assert.equal(dataJson, '{"code":{"$integer":"BwAAAAAAAAA="}}');
    });

    test("what is not an Error has no frames", async () => {
      assert.deepEqual(await errorOf("probe:failsWithText"), {
        message: "Uncaught plain text",
        frames: [],
      });
    });

    test("a rejection that nobody handles ends the function", async () => {
      const { message, frames } = await errorOf("probe:unhandled", () => "null");
      assert.equal(message, "Uncaught RangeError: nobody looked");
      assert.match(frames[0] ?? "", /probe\.ts:\d+:\d+/);
      assert.equal(await result("query", "probe:handledLater"), "handled");
    });

    test("an error of the backend is an Error of the realm with its data", async () => {
      const answer: Answerer = () => ({ message: "nope", data: { $integer: "BwAAAAAAAAA=" } });
      const caught = await result("mutation", "probe:backendError", {}, answer);
      assert.deepEqual(caught, ["nope", true, { $integer: "BwAAAAAAAAA=" }]);
    });

    test("an uncatchable error wins over a catch", async () => {
      const { message } = await errorOf("probe:fatal");
      assert.equal(message, "Uncaught Error: Not implemented: transfer for structuredClone");
    });

    test("missing modules, exports and wrong kinds have the specified texts", async () => {
      const messages = [];
      for (const path of [
        "nowhere:f",
        "messages:nope",
        "messages:send",
        "probe:notAConvexFunction",
      ]) {
        messages.push((await errorOf(path)).message);
      }
      assert.deepEqual(messages, [
        "Couldn't find JavaScript module 'nowhere.js'. Did you forget to run `npx convex dev`?",
        'Couldn\'t find "nope" in module "messages.js".',
        "Function messages:send is registered as a mutation but is being run as a query.",
        "Function probe:notAConvexFunction is neither a query or mutation. Did you forget to wrap it with `query` or `mutation`?",
      ]);
    });
  });
}

describe("modules that fail at import", async () => {
  const { run, app } = await setUp(false);

  test("a module that throws while it is imported throws at every call", async () => {
    for (let index = 0; index < 2; index++) {
      const { message, frames } = (await run("query", "broken:get")).header.error ?? {
        message: "",
        frames: [],
      };
      assert.match(message, /^Uncaught SyntaxError: .*JSON/);
      assert.match(frames.join("\n"), /broken\.ts:4:\d+/);
    }
  });

  test("the database and timers are refused at import", async () => {
    const { message } = (await run("query", "database_at_import:x")).header.error ?? {
      message: "",
    };
    assert.equal(
      message,
      "Uncaught Error: Can't use database at import time | Syscall 1.0/other unsupported at import time | setTimeout unsupported at import time",
    );
  });

  test("the snapshot builder refuses them and says why", async () => {
    const { ok, message, snapshot } = await buildSnapshot(app);
    assert.deepEqual([ok, snapshot.length], [false, 0]);
    assert.match(message ?? "", /SyntaxError/);
  });
});
