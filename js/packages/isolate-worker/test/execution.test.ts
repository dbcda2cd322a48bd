import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CallAhead } from "../src/protocol.ts";
import { bundleApp } from "./app_bundle.ts";
import { BOTH_WAYS, FIXTURE, setUp } from "./setup.ts";
import { IMPORT_MS, NOW_MS, SEED, WorkerProcess } from "./worker_process.ts";
import type { Answerer } from "./worker_process.ts";

const row = (id: string): string => `{"_creationTime":1.5,"_id":"${id}"}`;

for (const { way, useSnapshot } of BOTH_WAYS) {
  describe(`executions ${way}`, async () => {
    const { run, result, worker, bundle } = await setUp(useSnapshot, {
      env: { IMPORTED_NAME: "ada", OTHER: "x", _PRIVATE: "y" },
    });

    test("a query reads a page and reports what it consumed", async () => {
      const answer: Answerer = (op, args) => {
        assert.equal(op, "fenchel/queryPage");
        const { queryId, query, consumed } = args as Record<string, unknown>;
        assert.deepEqual([queryId, consumed], [0, []]);
        assert.equal(
          (query as { source: { indexName: string } }).source.indexName,
          "messages.by_channel",
        );
        return `1\n${row("k1")}\n${row("k2")}`;
      };
      const { header, result: text } = await run(
        "query",
        "messages:list",
        { channel: "c" },
        answer,
      );
      assert.equal(text, `[${row("k1")},${row("k2")}]`);
      assert.deepEqual(header.consumed, [[0, 2, 1]]);
      assert.deepEqual([header.observedTime, header.observedRandomness], [false, false]);
    });

    test("an empty page is an empty result", async () => {
      assert.deepEqual(await result("query", "messages:list", { channel: "c" }, () => "1\n"), []);
    });

    test("a stream that stops early reports only the rows it took, and further pages carry no query", async () => {
      const requests: unknown[] = [];
      const outcome = await run("query", "probe:onlyTwo", {}, (_op, args) => {
        requests.push(args);
        return `0\n${row(`k${requests.length}`)}`;
      });
      assert.equal(outcome.result, '["k1","k2"]');
      assert.deepEqual(outcome.header.consumed, [[0, 2, 0]]);
      assert.deepEqual(requests[1], { queryId: 0, consumed: [[0, 1, 0]] });
    });

    test("streams do not mix", async () => {
      const answer: Answerer = (_op, args) => {
        const name = (args as { queryId: number }).queryId === 0 ? "a" : "b";
        return `1\n${row(`${name}1`)}\n${row(`${name}2`)}`;
      };
      assert.deepEqual(await result("query", "probe:interleaved", {}, answer), [
        "a1",
        "b1",
        "a2",
        "b2",
      ]);
    });

    test("a mutation writes and returns the id", async () => {
      const answer: Answerer = (op, args) => {
        assert.deepEqual(
          [op, args],
          ["1.0/insert", { table: "messages", value: { author: "a", body: "b" } }],
        );
        return '{"_id":"k9"}';
      };
      assert.equal(
        await result("mutation", "messages:send", { author: "a", body: "b" }, answer),
        "k9",
      );
    });

    test("all syscalls of a turn go out together, in call order, and settle in that order", async () => {
      const answer: Answerer = (op) => (op === "1.0/insert" ? '{"_id":"k9"}' : "null");
      const outcome = await run("mutation", "probe:parallel", {}, answer);
      assert.deepEqual(outcome.batches, [["1.0/get", "1.0/insert", "1.0/get"]]);
      assert.equal(outcome.result, '["get 1","insert","get 2"]');
    });

    test("an unawaited write of a mutation still runs", async () => {
      const { batches, header } = await run(
        "mutation",
        "probe:unawaited",
        {},
        () => '{"_id":"k9"}',
      );
      assert.deepEqual([batches, header.kind], [[["1.0/insert"]], "success"]);
    });

    test("an unawaited operation of an action is warned about", async () => {
      const { streamed } = await run("action", "probe:unawaitedAction", {}, () => null);
      const warning = streamed.find(({ level }) => level === "WARN");
      assert.match(
        warning?.messages[0] ?? "",
        /^1 unawaited operation: \[mutation\]\. Async operations should/,
      );
    });

    test("an action's timers fire in order", async () => {
      const {
        result: text,
        header,
        streamed,
      } = await run("action", "probe:waits", {}, () => null, { userTimeoutMs: 5000 });
      assert.equal(text, '["first","second","late"]');
      assert.deepEqual(header.logLines, []);
      assert.deepEqual(streamed.at(-1)?.messages, ["'done'"]);
    });

    test("no execution sees what another one left in globals, modules or prototypes", async () => {
      const fresh = { calls: 0, trace: null, patched: false };
      for (let index = 0; index < 3; index++)
        assert.deepEqual(await result("query", "probe:traces"), fresh);
    });

    test("the same seed gives the same randomness, another seed another", async () => {
      const [first, again] = [
        await run("query", "probe:chance"),
        await run("query", "probe:chance"),
      ];
      assert.equal(first.result, again.result);
      assert.equal(first.header.observedRandomness, true);
      const other = await run("query", "probe:chance", {}, undefined, {
        seed: SEED.replaceAll("1", "7"),
      });
      assert.notEqual(other.result, first.result);
      const [left, right, uuid] = JSON.parse(first.result) as [number, number, string];
      assert.ok(left !== right && left >= 0 && left < 1);
      assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    });

    test("time stands still in a query", async () => {
      const outcome = await run("query", "probe:clock");
      const text = "Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated Universal Time)";
      assert.deepEqual(JSON.parse(outcome.result), [
        NOW_MS,
        NOW_MS,
        text,
        0,
        "2020-01-01T00:00:00.000Z",
        true,
      ]);
      assert.equal(outcome.header.observedTime, true);
    });

    test("date formats without a date show the query's time", async () => {
      const { header, result: text } = await run("query", "probe:dateFormats");
      const now = "11/14/23, 10:13:20 PM";
      const plain = text.replaceAll("\u202f", " ");
      assert.deepEqual(JSON.parse(plain), [now, now, true, "1/1/70, 12:00:00 AM"]);
      assert.equal(header.observedTime, true);
    });

    test("the import phase has the bundle's time, randomness and variables", async () => {
      const outcome = await run("query", "probe:importPhase");
      const value = JSON.parse(outcome.result) as { importedRandom: number };
      assert.deepEqual(value, {
        importedAt: IMPORT_MS,
        importedName: "ada",
        importedRandom: value.importedRandom,
      });
      assert.equal((await run("query", "probe:importPhase")).result, outcome.result);
      assert.ok(outcome.header.envRead.includes("IMPORTED_NAME"));
      assert.equal(outcome.header.observedTime, false);
      assert.deepEqual(
        outcome.header.logLines.map(({ messages }) => messages),
        [["'imported'"]],
      );
    });

    test("reads of variables are recorded", async () => {
      const { header, result: text } = await run("query", "probe:variable", { name: "OTHER" });
      assert.equal(text, '"x"');
      assert.ok(header.envRead.includes("OTHER"));
      assert.equal(await result("query", "probe:variable", { name: "MISSING" }), null);
      assert.equal(await result("query", "probe:variable", { name: "_PRIVATE" }), "y");
      const invalid = await run("query", "probe:variable", { name: "not a name" });
      assert.match(
        invalid.header.error?.message ?? "",
        /Environment variable name "not a name" is invalid/,
      );
    });

    test("a synchronous syscall goes over its own channel", async () => {
      worker.syncAnswerer = (op, args) => {
        assert.deepEqual([op, args], ["1.0/db/normalizeId", { table: "t", idString: "abc" }]);
        return '{"id":"k1"}';
      };
      assert.equal(await result("query", "probe:normalize"), "k1");
      worker.syncAnswerer = () => ({ message: "Invalid argument" });
      assert.match(
        (await run("query", "probe:normalize")).header.error?.message ?? "",
        /^Uncaught Error: Invalid argument$/,
      );
    });

    test("what needs an action is refused with the specified text, catchable, by errors of the realm", async () => {
      worker.syncAnswerer = (op) => ({ message: `Unknown operation ${op}` });
      const refused =
        "in queries and mutations. Please consider using an action. See https://docs.convex.dev/functions/actions for more details.";
      const noCode = "true EvalError: Code generation from strings disallowed for this context";
      assert.deepEqual(await result("query", "probe:forbidden"), {
        setTimeout: `true Error: Can't use setTimeout ${refused}`,
        eval: noCode,
        Function: noCode,
        Function_of_a_function: noCode,
        async_Function: noCode,
        unknown: "true Error: Unknown operation 1.0/unknown",
        fetch: `Can't use fetch() ${refused}`,
      });
    });

    test("a promise that nothing can settle ends the execution", async () => {
      assert.equal((await run("query", "probe:never")).header.kind, "neverResolves");
    });

    test("a call that a changed builtin swallows ends the execution at once", async () => {
      for (const kind of ["query", "action"] as const) {
        const { header } = await run(kind, `probe:swallowed${kind}`);
        assert.match(header.error?.message ?? "", /changed builtins in a way that broke/);
      }
    });

    test("a cancelled execution is forgotten and the worker goes on", async () => {
      const { id } = worker.start(bundle, "action", "probe:sleepy");
      worker.cancel(id);
      assert.equal(
        await result("mutation", "messages:send", { author: "a", body: "b" }, () => '{"_id":"k"}'),
        "k",
      );
    });

    test("calls that were anticipated are answered here, also by refusing them", async () => {
      const send = async (ahead: CallAhead[][]): Promise<unknown[]> => {
        const args = { author: "a", body: "b" };
        const ask: Answerer = () => '{"_id":"asked"}';
        const { header, result, batches } = await worker.start(
          bundle,
          "mutation",
          "messages:send",
          args,
          ask,
          {},
          ahead,
        ).outcome;
        return [header.error?.message ?? result, header.answeredAhead, batches.length];
      };
      const call: CallAhead = {
        op: "1.0/insert",
        argsJson: '{"table":"messages","value":{"author":"a","body":"b"}}',
        ok: true,
        payload: '{"_id":"ahead"}',
      };
      assert.deepEqual(await send([[call]]), ['"ahead"', 1, 0]);
      const refusal = { ...call, ok: false, payload: '{"message":"no"}' };
      assert.deepEqual(await send([[refusal]]), ["Uncaught Error: no", 1, 0]);
      assert.deepEqual(await send([[{ ...call, argsJson: "{}" }]]), ['"asked"', 0, 1]);
      assert.deepEqual(await send([[{ ...call, op: "1.0/get" }]]), ['"asked"', 0, 1]);
      assert.deepEqual(await send([[call, call]]), ['"asked"', 0, 1]);
      assert.deepEqual(await send([[call], [call]]), ['"ahead"', 1, 0]);
      assert.deepEqual(await send([]), ['"asked"', 0, 1]);
    });

    test("many executions interleave", async () => {
      const held: (() => void)[] = [];
      const runs = Array.from({ length: 30 }, (_, index) =>
        result("mutation", "messages:send", { author: String(index), body: "" }, (_op, args) => {
          held.push(() => {});
          return `{"_id":"${(args as { value: { author: string } }).value.author}"}`;
        }),
      );
      assert.deepEqual(
        await Promise.all(runs),
        Array.from({ length: 30 }, (_, index) => String(index)),
      );
    });
  });
}

describe("context reuse", async () => {
  const { run } = await setUp(true);
  const answer: Answerer = (op) => (op === "1.0/insert" ? '{"_id":"k"}' : "1\n");

  test("a module that asks for it gets its context again, until something fails", async () => {
    const reused = async (name: string, answerer: Answerer): Promise<boolean> =>
      (
        await run(
          name === "send" ? "mutation" : "query",
          `reused:${name}`,
          { author: "a", body: "b", channel: "c" },
          answerer,
        )
      ).header.realm === "reused";
    assert.deepEqual(
      [await reused("list", answer), await reused("send", answer), await reused("list", answer)],
      [false, true, true],
    );
    assert.equal(await reused("send", () => ({ message: "no" })), true);
    assert.equal(await reused("list", answer), false);
  });

  test("a reused context starts its streams, logs and randomness anew", async () => {
    await run("query", "reused:list", { channel: "c" }, answer);
    const { header } = await run("query", "reused:list", { channel: "c" }, () => `1\n${row("k1")}`);
    assert.deepEqual([header.realm, header.consumed, header.logLines], ["reused", [[0, 1, 1]], []]);
  });
});

test("a worker ends rather than take the answer to another call", async () => {
  const worker = await WorkerProcess.start();
  const bundle = await worker.load(await bundleApp(FIXTURE, ["probe.ts"]));
  worker.syncAnswerer = () => '{"id":"k1"}';
  worker.syncResultId = (askedId) => askedId + 1;
  await assert.rejects(worker.run(bundle, "query", "probe:normalize"), /The worker died/);
  assert.equal(worker.child.exitCode, 1);
});
