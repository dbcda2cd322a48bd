/**
 * What does one execution cost the worker in a fresh context, in a warm realm and in a reused
 * context that keeps its state?
 *
 * Estimate (engine findings): fresh list of 20 documents 1.15 ms CPU, insert 0.7; reused 0.11 and
 * 0.03. CPU time is that of all threads of the worker; the ways take turns, 400 executions at 8
 * connections each. Run: node bench/warm_realms.ts [rounds]
 */
import fs from "node:fs";
import path from "node:path";
import { bundleApp } from "../test/app_bundle.ts";
import { WorkerProcess, buildSnapshot } from "../test/worker_process.ts";
import type { Answerer } from "../test/worker_process.ts";

const ROUNDS = Number(process.argv[2] ?? 6);
const CONNECTIONS = 8;
const EXECUTIONS = 50;

const document = (index: number): string =>
  JSON.stringify({
    _creationTime: 1.5,
    _id: `k${index}`,
    author: "ada",
    body: `hello ${index}`,
    channel: "c",
  });
const page = `1\n${Array.from({ length: 20 }, (_, index) => document(index)).join("\n")}`;
const answer: Answerer = (op) => (op === "fenchel/queryPage" ? page : '{"_id":"k0"}');

/** CPU time of all threads that the process has now, in microseconds. */
function cpuUs(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = fs
    .readdirSync(tasks)
    .map((task) => Number(fs.readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]));
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e3;
}

interface Row {
  way: string;
  bundle: number;
  kind: "query" | "mutation";
  functionPath: string;
  cpu: number[];
}

async function runSlice(worker: WorkerProcess, row: Row): Promise<void> {
  const { bundle, kind, functionPath, way } = row;
  const args = kind === "query" ? { channel: "c" } : { author: "ada", body: "hello" };
  const pid = worker.child.pid ?? 0;
  const start = cpuUs(pid);
  const client = async (): Promise<void> => {
    for (let index = 0; index < EXECUTIONS; index++) {
      const { header } = await worker.run(bundle, kind, functionPath, args, answer);
      if (header.kind !== "success") throw new Error(`${way}: ${JSON.stringify(header)}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  row.cpu.push((cpuUs(pid) - start) / (CONNECTIONS * EXECUTIONS));
}

const fixture = path.join(import.meta.dirname, "../test/fixture/convex");
const app = await bundleApp(fixture, ["messages.ts", "reused.ts"]);
const header = { contextsAhead: 3, contextsPerIsolate: 50, warmRealmsMax: CONNECTIONS };
const worker = await WorkerProcess.start();
const { snapshot } = await buildSnapshot(app, header);
const warm = await worker.load(app, header, snapshot);
const fresh = await worker.load(app, { ...header, warmRealmsMax: 0 }, snapshot);
const functions = [
  ["query", "list"],
  ["mutation", "send"],
] as const;
const rows = functions.flatMap(([kind, name]): Row[] => [
  { way: "fresh", bundle: fresh, kind, functionPath: `messages:${name}`, cpu: [] },
  { way: "warm", bundle: warm, kind, functionPath: `messages:${name}`, cpu: [] },
  { way: "reused", bundle: fresh, kind, functionPath: `reused:${name}`, cpu: [] },
]);
// The first round prepares realms and optimises code.
for (let round = 0; round <= ROUNDS; round++) {
  for (const row of rows) await runSlice(worker, row);
  if (round === 0) for (const row of rows) row.cpu = [];
}
for (const { way, functionPath, cpu } of rows) {
  const sorted = cpu.toSorted((left, right) => left - right);
  const [least = 0, median = 0] = [sorted[0], sorted[sorted.length >> 1]];
  const name = `${way.padEnd(7)} ${functionPath.padEnd(14)}`;
  console.log(`${name} CPU µs min ${least.toFixed(0)} p50 ${median.toFixed(0)}`);
}
await worker.stop();
