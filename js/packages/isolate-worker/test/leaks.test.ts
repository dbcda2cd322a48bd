import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, test } from "node:test";
import { setUp } from "./setup.ts";
import type { Answerer } from "./worker_process.ts";

/** 80 isolates: if they stayed, or 24 KiB of each execution did, it would show. */
const EXECUTIONS = 4_000;
const GROWTH_BYTES_MAX = 96 * 1024 * 1024;

const answer: Answerer = (op) => (op === "1.0/insert" ? '{"_id":"k"}' : "1\n");

describe("leaks", async () => {
  const { run, worker } = await setUp(true, { contextsPerIsolate: 50 });
  const residentBytes = (): number => {
    const status = fs.readFileSync(`/proc/${worker.child.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  };
  const runMany = async (count: number, functionPath: string): Promise<void> => {
    const next = async (share: number): Promise<void> => {
      for (let index = 0; index < share; index++) {
        const { header } = await run("mutation", functionPath, { author: "a", body: "b" }, answer);
        assert.equal(header.kind, "success");
      }
    };
    await Promise.all(Array.from({ length: 4 }, () => next(count / 4)));
  };

  for (const functionPath of ["messages:send", "reused:send"]) {
    test(
      `${EXECUTIONS} executions of ${functionPath} do not grow the worker`,
      { timeout: 120_000, skip: process.platform !== "linux" },
      async () => {
        await runMany(EXECUTIONS / 5, functionPath);
        const before = residentBytes();
        await runMany(EXECUTIONS, functionPath);
        assert.ok(
          residentBytes() - before < GROWTH_BYTES_MAX,
          `grew by ${residentBytes() - before} bytes`,
        );
      },
    );
  }
});
