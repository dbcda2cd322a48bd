// convex-test runs the app's own TypeScript in this process, in memory: no HTTP, no durability,
// no isolation. It reads commands on standard input and drives its own loop, one result line each:
//   {"command": "call", "path": "seed:members", "args": {...}}  -> {"value": ...}
//   {"command": "load", "requests": [{"path", "args"}], "check": "list"|"send", "concurrency", "seconds"}
//     -> {"count", "seconds", "latencies_us": [...]}
import { createInterface } from "node:readline";
import { makeFunctionReference } from "convex/server";
import { convexTest } from "convex-test";
import schema from "../app/schema.ts";

const modules = {
  "../app/_generated/api.js": async () => ({}),
  "../app/messages.ts": () => import("../app/messages.ts"),
  "../app/seed.ts": () => import("../app/seed.ts"),
};
const backend = convexTest({ schema, modules });

function run(path, args) {
  const reference = makeFunctionReference(path);
  return path === "messages:list" ? backend.query(reference, args) : backend.mutation(reference, args);
}

const checks = {
  list: (value) => value.length === 20,
  send: (value) => typeof value === "string",
};

async function load({ requests, check, concurrency, seconds }) {
  const isRight = checks[check];
  const latencies = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  let next = 0;
  async function client() {
    while (performance.now() < end) {
      const { path, args } = requests[next++ % requests.length];
      const sent = performance.now();
      const value = await run(path, { ...args });
      if (!isRight(value)) throw new Error(`wrong answer: ${JSON.stringify(value)}`);
      latencies.push(Math.round((performance.now() - sent) * 1000));
    }
  }
  await Promise.all(Array.from({ length: concurrency }, client));
  const elapsed = (performance.now() - start) / 1000;
  return { count: latencies.length, seconds: elapsed, latencies_us: latencies };
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const result =
    command.command === "load"
      ? await load(command)
      : { value: await run(command.path, command.args) };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
