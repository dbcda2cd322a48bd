import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FIXTURE, setUp } from "./setup.ts";
import { bundleApp } from "./app_bundle.ts";
import { buildSnapshot } from "./worker_process.ts";

function request(method: string, path: string): unknown {
  const head = { method, url: `http://localhost${path}`, headerPairs: [], streamId: null };
  return { request: head, path };
}

for (const useSnapshot of [true, false]) {
  describe(`HTTP actions ${useSnapshot ? "out of" : "without"} a snapshot`, async () => {
    const { worker, run } = await setUp(useSnapshot);
    const routes: unknown[] = [];
    worker.syncAnswerer = (_op, args) => {
      routes.push(args);
      return "null";
    };

    test("each finds its route and answers in a fresh context", async () => {
      for (let index = 0; index < 3; index++) {
        const responses: { status: number; streamId: number | null; body: Buffer }[] = [];
        const { header } = await run(
          "httpAction",
          "http:default",
          request("GET", "/hello"),
          (op, args) => {
            assert.equal(op, "fenchel/respond");
            responses.push(args as (typeof responses)[0]);
            return "";
          },
        );
        assert.equal(header.kind, "success", JSON.stringify(header));
        assert.deepEqual(
          responses.map(({ status, streamId, body }) => [status, streamId, body.toString()]),
          [[200, null, "hi"]],
        );
      }
      assert.deepEqual(routes, Array(3).fill({ route: "GET /hello" }));
    });
  });
}

test("an app without HTTP actions carries nothing for them", async () => {
  const bytes = async (entries: string[]): Promise<number> =>
    (await buildSnapshot(await bundleApp(FIXTURE, entries))).snapshot.length;
  assert.ok((await bytes(["logs.ts"])) < (await bytes(["logs.ts", "http.ts"])) / 2);
});
