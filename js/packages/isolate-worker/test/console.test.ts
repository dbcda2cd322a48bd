import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setUp } from "./setup.ts";

describe("console", async () => {
  const { run } = await setUp(true);

  test("arguments are rendered one by one, with quoted strings", async () => {
    const { header } = await run("query", "logs:all");
    assert.deepEqual(
      header.logLines.map(({ level, messages }) => [level, ...messages]),
      [
        ["LOG", "'hello'", "1", "{\n  a: 1\n}", "[ 1, 2 ]", "null", "undefined"],
        ["DEBUG", "'it\\'s'"],
        ["INFO", "Map (1) {\n  'k' => 1n\n}"],
        ["WARN", "'oops'"],
        ["ERROR", "true"],
        ["WARN", "Timer 't' already exists"],
        ["WARN", "Timer 'other' does not exist"],
        ["LOG", "[process.env]"],
      ],
    );
  });

  test("a line is cut at 32,768 bytes", async () => {
    const [first, second] = (await run("query", "logs:long")).header.logLines;
    const bytes = (line?: { messages: string[] }): number =>
      Buffer.byteLength(line?.messages.join(" ") ?? "");
    assert.deepEqual([first?.isTruncated, bytes(first)], [true, 32_768]);
    assert.deepEqual([second?.isTruncated, bytes(second)], [true, 32_767]);
  });

  test("the 256th line says that the rest is omitted", async () => {
    const { logLines } = (await run("query", "logs:many")).header;
    assert.equal(logLines.length, 256);
    assert.deepEqual(logLines[254]?.messages, ["255"]);
    assert.equal(logLines[255]?.level, "ERROR");
    assert.deepEqual(logLines[255]?.messages, [
      "Log overflow (maximum 256). Remaining log lines omitted.",
    ]);
  });

  test("a failing function keeps its lines", async () => {
    const { header } = await run("query", "logs:thenFails");
    assert.deepEqual([header.kind, header.logLines[0]?.messages], ["error", ["'before'"]]);
  });

  test("trace shows the mapped stack", async () => {
    const [line] = (await run("query", "logs:trace")).header.logLines;
    assert.match(line?.messages[1] ?? "", /logs\.ts:\d+:\d+/);
  });
});
