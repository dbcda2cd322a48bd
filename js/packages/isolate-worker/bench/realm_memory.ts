/**
 * What does a warm realm take of the worker's memory, and how much processor time does it take to
 * make one?
 *
 * Estimate: an isolate of the runtime's snapshot has a heap of 3 MB and 2 MB outside of it; the
 * guard and the app's objects come on top, twice the script for code. 10 to 100 ms to make.
 * Executions that wait for ever hold one realm each, so that as many are made; the first one is
 * not counted, because it compiles what all share. Run: node bench/realm_memory.ts [realms]
 */
import fs from "node:fs";
import path from "node:path";
import { bundleApp } from "../test/app_bundle.ts";
import type { AppBundle } from "../test/app_bundle.ts";
import { WorkerProcess, buildSnapshot } from "../test/worker_process.ts";

const REALMS = Number(process.argv[2] ?? 8);
const CLASSES = 400;
const MEBIBYTE = 1024 * 1024;

const fixture = path.join(import.meta.dirname, "../test/fixture/convex");
const small = await bundleApp(fixture, ["messages.ts"]);

/** The small app beside a module of classes, functions and tables, about 400 KB in all. */
function makeHeavy(): AppBundle {
  const filler = "x".repeat(500);
  const classes = Array.from(
    { length: CLASSES },
    (_, index) => `
      class C${index} {
        constructor(value) { this.value = value; this.tags = ["a${index}", "b${index}"]; }
        read(other) { return this.value + other + ${index}; }
        describe() { return "${filler}" + this.tags.join(); }
      }
      table["key${index}"] = { make: (value) => new C${index}(value), limits: [${index}, 1, 2] };`,
  );
  const module = `"heavy.js": () => { const table = {}; ${classes.join("")} return { table }; },`;
  const head = "__fenchelModules = {";
  const at = small.script.indexOf(head);
  if (at < 0) throw new Error("The linked script has changed");
  const end = at + head.length;
  return {
    script: small.script.slice(0, end) + module + small.script.slice(end),
    sourceMap: "",
    modules: [...small.modules, "heavy.js"],
  };
}

function residentBytes(pid: number): number {
  const pages = Number(fs.readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return pages * 4096;
}

function cpuMs(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = fs
    .readdirSync(tasks)
    .map((task) => Number(fs.readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]));
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
}

interface Cost {
  bytes: number;
  ms: number;
}

/** Cost of each context that holds a waiting execution, after the first. */
async function measure(app: AppBundle, isFresh: boolean): Promise<Cost> {
  const header = {
    contextsAhead: 0,
    // Fresh ones share an isolate as they do in service.
    warmRealmsMax: isFresh ? 0 : REALMS,
    warmRealmBytesMax: 1024 * MEBIBYTE,
    warmAfterExecutions: 0,
  };
  const worker = await WorkerProcess.start();
  const { snapshot } = await buildSnapshot(app, header);
  const bundle = await worker.load(app, header, snapshot);
  const pid = worker.child.pid ?? 0;
  const hold = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      const wait = (): null => {
        resolve();
        return null;
      };
      const running = worker.run(bundle, "query", "messages:list", { channel: "c" }, wait);
      // The worker is ended while they wait.
      running.catch(() => undefined);
    });
  };
  await hold();
  const before: Cost = { bytes: residentBytes(pid), ms: cpuMs(pid) };
  for (let made = 1; made < REALMS; made++) await hold();
  const cost = {
    bytes: (residentBytes(pid) - before.bytes) / (REALMS - 1),
    ms: (cpuMs(pid) - before.ms) / (REALMS - 1),
  };
  worker.child.kill();
  return cost;
}

for (const [name, app] of [
  ["small", small],
  ["heavy", makeHeavy()],
] as const) {
  for (const isFresh of [true, false]) {
    const { bytes, ms } = await measure(app, isFresh);
    const what = `${name} ${(app.script.length / 1000).toFixed(0)} KB ${isFresh ? "fresh" : "warm"}`;
    console.log(`${what.padEnd(22)} ${(bytes / MEBIBYTE).toFixed(1)} MiB  ${ms.toFixed(1)} ms CPU`);
  }
}
