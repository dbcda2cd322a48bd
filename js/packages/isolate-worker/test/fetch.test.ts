import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setUp } from "./setup.ts";
import type { Answer, Answerer } from "./worker_process.ts";

interface FetchArgs {
  fetch: number;
  url: string;
  method: string;
  headers: [string, string][];
  bodyBytes: number | null;
  bodyStream: number | null;
  body: Buffer;
}

type Reply = { status?: number; headers?: [string, string][]; chunks?: string[] };

/** A network in which `reply` answers; keeps what it was told. */
class Network {
  readonly fetched: FetchArgs[] = [];
  readonly ops: string[] = [];
  readonly written = new Map<number, string>();
  readonly #chunks: string[][] = [];
  readonly #reply: (args: FetchArgs) => Reply | null;

  constructor(reply: (args: FetchArgs) => Reply | null) {
    this.#reply = reply;
  }

  readonly answer: Answerer = (op, args): Answer | null => {
    this.ops.push(op);
    switch (op) {
      case "fenchel/fetch": {
        this.fetched.push(args as FetchArgs);
        const reply = this.#reply(args as FetchArgs);
        if (reply === null) return null;
        const { status = 200, headers = [], chunks = [] } = reply;
        const stream = this.#chunks.push([...chunks]) - 1;
        return JSON.stringify({ status, statusText: "", headers, stream });
      }
      case "fenchel/readStream": {
        const chunk = this.#chunks[(args as { stream: number }).stream]?.shift();
        return chunk === undefined ? "" : Buffer.from(chunk);
      }
      case "fenchel/writeStream": {
        const bytes = args as Buffer;
        const stream = bytes.readUInt32LE(0);
        this.written.set(stream, (this.written.get(stream) ?? "") + bytes.toString("utf8", 4));
        return "";
      }
      default:
        return "";
    }
  };
}

describe("fetch", async () => {
  const { result, run } = await setUp(true);
  const url = "https://x.org/a";

  test("sends the head and reads the body chunk by chunk", async () => {
    const network = new Network(() => ({ headers: [["x-two", "2"]], chunks: ['{"a"', ":1}"] }));
    const value = await result("action", "network:getJson", { url }, network.answer);
    assert.deepEqual(value, [200, "2", url, { a: 1 }]);
    const [{ method, headers, bodyBytes, bodyStream } = {} as FetchArgs] = network.fetched;
    assert.deepEqual(
      [method, headers, bodyBytes, bodyStream],
      ["GET", [["x-one", "1"]], null, null],
    );
  });

  test("a small body goes with the head; 302 turns POST into GET without it", async () => {
    const network = new Network(({ method }) =>
      method === "POST" ? { status: 302, headers: [["location", "/b"]] } : { chunks: ["end"] },
    );
    const value = await result("action", "network:post", { url }, network.answer);
    assert.deepEqual(value, [true, "https://x.org/b", "end"]);
    const [first, second] = network.fetched;
    assert.equal(first?.body.toString(), "a=1+2");
    assert.deepEqual(first?.headers, [
      ["content-type", "application/x-www-form-urlencoded;charset=UTF-8"],
    ]);
    assert.deepEqual([second?.method, second?.headers, second?.body.length], ["GET", [], 0]);
  });

  test("307 sends the body again, a stream cannot be", async () => {
    const network = new Network(({ url }) =>
      url.endsWith("/a") ? { status: 307, headers: [["location", "/b"]] } : { chunks: ["end"] },
    );
    await result("action", "network:post", { url }, network.answer);
    assert.deepEqual(
      network.fetched.map(({ method, body }) => [method, body.toString()]),
      [
        ["POST", "a=1+2"],
        ["POST", "a=1+2"],
      ],
    );
    const { header } = await run("action", "network:postStream", { url }, network.answer);
    assert.match(header.error?.message ?? "", /a stream cannot be sent again/);
  });

  test("credentials stay with their origin", async () => {
    const network = new Network(({ url }) =>
      url.includes("x.org") ? { status: 301, headers: [["location", "https://y.org/"]] } : {},
    );
    await result("action", "network:withCredentials", { url }, network.answer);
    assert.deepEqual(
      network.fetched.map(({ headers }) => headers.map(([name]) => name)),
      [["authorization", "cookie", "x-kept"], ["x-kept"]],
    );
  });

  test("a stream goes in pieces, each acknowledged", async () => {
    const network = new Network(() => ({ chunks: ["ok"] }));
    assert.equal(await result("action", "network:postStream", { url }, network.answer), "ok");
    const stream = network.fetched[0]?.bodyStream ?? -1;
    assert.equal(network.written.get(stream), "part 3\npart 2\npart 1\n");
  });

  test("a body that is not wanted any more is cancelled", async () => {
    const network = new Network(() => ({ chunks: ["12345", "6"] }));
    assert.equal(await result("action", "network:readSome", { url }, network.answer), 5);
    assert.ok(network.ops.filter((op) => op === "fenchel/readStream").length <= 2);
  });

  test("an abort rejects at once, before and after the head", async () => {
    const silent = new Network(() => null);
    const value = await result("action", "network:abort", { url }, silent.answer);
    assert.deepEqual(value, ["AbortError", true]);
    const network = new Network(() => ({ chunks: ["1", "2"] }));
    assert.equal(await result("action", "network:abortBody", { url }, network.answer), "enough");
  });

  test("failures are TypeErrors with the reason", async () => {
    const refused: Answerer = () => ({ message: "connection refused" });
    const told = await result("action", "network:failure", { url }, refused);
    assert.equal(told, "TypeError: fetch failed: connection refused");
    const scheme = await result(
      "action",
      "network:failure",
      { url: "file:///etc/passwd" },
      refused,
    );
    assert.match(String(scheme), /only http and https/);
  });

  test("redirects: manual, error, and too many", async () => {
    const network = new Network(() => ({ status: 301, headers: [["location", "/again"]] }));
    const mode = (redirect: string): Promise<unknown> =>
      result("action", "network:redirectMode", { url, redirect }, network.answer);
    assert.equal(await mode("manual"), "301 /again");
    assert.match(String(await mode("error")), /answered with a redirect/);
    assert.match(String(await mode("follow")), /more than 20 redirects/);
    assert.equal(network.fetched.length, 1 + 1 + 21);
  });

  test("an unawaited fetch is named in the log", async () => {
    const { streamed } = await run("action", "network:unawaited", { url }, () => null);
    assert.match(streamed[0]?.messages[0] ?? "", /^1 unawaited operation: \[fetch\]/);
  });

  test("queries and mutations may not", async () => {
    assert.equal(
      await result("query", "network:inQuery"),
      "Can't use fetch() in queries and mutations. Please consider using an action. " +
        "See https://docs.convex.dev/functions/actions for more details.",
    );
  });
});
