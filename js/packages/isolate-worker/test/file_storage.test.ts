import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setUp } from "./setup.ts";
import type { Answer, Answerer } from "./worker_process.ts";

const CONTENT = "0123456789";

interface Part {
  start: number;
  length: number;
  stream?: number;
}

/** A backend with one file; `size` is what it says of it. Keeps what it was asked. */
class Storage {
  readonly ops: string[] = [];
  readonly sent: Part[] = [];
  /** What the realm's streams consist of; stored parts in brackets. */
  readonly bodies = new Map<number, string>();
  readonly #reading: string[][] = [];
  readonly #size: number | null;

  constructor(size: number | null = CONTENT.length) {
    this.#size = size;
  }

  readonly answer: Answerer = (op, args): Answer | null => {
    this.ops.push(op);
    const part = args as Part;
    switch (op) {
      case "fenchel/findFile": {
        const found = { size: this.#size, contentType: "text/whole" };
        return this.#size === null ? "null" : JSON.stringify(found);
      }
      case "fenchel/openFile": {
        const text = CONTENT.slice(part.start, part.start + part.length);
        return String(this.#reading.push([...text]) - 1);
      }
      case "fenchel/readStream": {
        const chunk = this.#reading[part.stream ?? -1]?.shift();
        return chunk === undefined ? "" : Buffer.from(chunk);
      }
      case "fenchel/sendFile": {
        const { stream = -1, ...range } = part;
        this.sent.push(range);
        this.#add(stream, `[${range.start}+${range.length}]`);
        return "";
      }
      case "fenchel/writeStream": {
        const bytes = args as Buffer;
        this.#add(bytes.readUInt32LE(0), bytes.toString("utf8", 4));
        return "";
      }
      case "fenchel/storeFile":
        return '"new id"';
      case "fenchel/fetch":
        return JSON.stringify({ status: 204, statusText: "", headers: [] });
      default:
        return "";
    }
  };

  #add(stream: number, text: string): void {
    this.bodies.set(stream, (this.bodies.get(stream) ?? "") + text);
  }
}

describe("stored files", async () => {
  const { result, run } = await setUp(true);

  test("are described before anything is read", async () => {
    const storage = new Storage();
    const value = await result("action", "files:describe", {}, storage.answer);
    assert.deepEqual(value, [10, "text/whole", 7, "text/part", 0]);
    assert.deepEqual(storage.ops, ["fenchel/findFile"]);
    assert.equal(await result("action", "files:missing", {}, new Storage(null).answer), null);
  });

  test("are read by parts, each time anew", async () => {
    const storage = new Storage();
    const value = await result("action", "files:readPart", {}, storage.answer);
    const codes = [0x32, 0x33, 0x34];
    assert.deepEqual(value, [codes, codes, "234", codes]);
    assert.equal(storage.ops.filter((op) => op === "fenchel/openFile").length, 4);
  });

  test("are read no further than somebody asks", async () => {
    const storage = new Storage();
    assert.equal(await result("action", "files:readSome", {}, storage.answer), 1);
    assert.deepEqual(storage.ops.slice(1), [
      "fenchel/openFile",
      "fenchel/readStream",
      "fenchel/cancelStream",
    ]);
  });

  test("make a blob together with other bytes", async () => {
    const storage = new Storage();
    const value = await result("action", "files:joined", {}, storage.answer);
    assert.deepEqual(value, [14, "0123456789|", "new id"]);
    assert.deepEqual([...storage.bodies.values()], ["<[0+10]|[0+1]>"]);
  });

  test("go from one place to another without coming into the realm", async () => {
    const storage = new Storage();
    assert.equal(await result("action", "files:storeAgain", {}, storage.answer), "new id");
    assert.equal(await result("action", "files:send", {}, storage.answer), "");
    assert.deepEqual(storage.sent, Array(2).fill({ storageId: "the file", start: 0, length: 10 }));
    assert.ok(!storage.ops.includes("fenchel/readStream"));
  });

  test("are parts of forms", async () => {
    const storage = new Storage();
    const type = await result("action", "files:storeForm", {}, storage.answer);
    assert.equal(type, "multipart/form-data");
    const [body = ""] = storage.bodies.values();
    assert.match(body, /filename="a.txt"\r\nContent-Type: text\/whole\r\n\r\n\[0\+10\]\r\n--/);
  });

  test("larger than memory are refused before they are read", async () => {
    const storage = new Storage(2 ** 30);
    const told = await result("action", "files:tooLarge", {}, storage.answer);
    assert.match(String(told), /^RangeError: .*held in memory at once/);
    assert.deepEqual(storage.ops, ["fenchel/findFile"]);
  });

  test("bodies larger than memory are refused while they are read", async () => {
    const told = await result("action", "files:endless", {}, new Storage().answer);
    assert.match(String(told), /^RangeError: .*held in memory at once/);
  });

  test("that are gone say so to who reads them", async () => {
    const gone: Answerer = (op) =>
      op === "fenchel/findFile"
        ? JSON.stringify({ size: 3, contentType: null })
        : { message: "The file was deleted" };
    assert.equal(await result("action", "files:readFails", {}, gone), "The file was deleted");
    const { header } = await run("action", "files:storeAgain", {}, gone);
    assert.match(header.error?.message ?? "", /The file was deleted/);
  });

  test("that nobody waits for are named in the log", async () => {
    const { streamed } = await run("action", "files:unawaited", {}, () => null);
    const message = streamed[0]?.messages[0] ?? "";
    assert.match(message, /^\d unawaited operations: \[.*storage\.get/);
    assert.match(message, /storage\.store/);
  });
});
