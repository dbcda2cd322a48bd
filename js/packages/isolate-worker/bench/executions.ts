/**
 * What does one execution cost the worker process, fresh and reused?
 *
 * Estimate (engine findings): fresh list of 20 documents 1.15 ms CPU of which 0.6 ms are waited
 * for; fresh insert 0.7 and 0.14 ms; reused 0.11 and 0.03 ms. CPU time is that of all threads of
 * the worker; of many short slices the smallest and the median are shown, as other processes share
 * the machine. Run: node bench/executions.ts [slices per row]
 */
import fs from "node:fs";
import path from "node:path";
import { bundleApp } from "../test/app_bundle.ts";
import { WorkerProcess, buildSnapshot } from "../test/worker_process.ts";
import type { Answerer } from "../test/worker_process.ts";

const SLICES = Number(process.argv[2] ?? 12);
const EXECUTIONS_PER_SLICE = 200;
/** A real client is not back at once: gives preparation ahead its chance. */
const PAUSE_MS = 3;

const document = (index: number): string =>
  JSON.stringify({
    _creationTime: 1.5,
    _id: `k${index}`,
    author: "ada",
    body: `hello ${index}`,
    channel: "c",
  });
const page = `1\n${Array.from({ length: 20 }, (_, index) => document(index)).join("\n")}`;
const answer: Answerer = (op) => {
  if (op === "fenchel/queryPage") return page;
  return op === "1.0/insert" ? '{"_id":"k0"}' : { message: `Unknown async operation ${op}` };
};

/** CPU time of all threads that the process has now. */
function cpuMs(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = fs
    .readdirSync(tasks)
    .map((task) => Number(fs.readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]));
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
}

const percentile = (values: number[], share: number): string => {
  const sorted = values.toSorted((left, right) => left - right);
  return (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(3);
};

async function measure(
  worker: WorkerProcess,
  bundle: number,
  name: string,
  connections: number,
): Promise<void> {
  const [kind, functionPath] = name.split(" ") as ["query" | "mutation", string];
  const args = kind === "query" ? { channel: "c" } : { author: "ada", body: "hello" };
  const pid = worker.child.pid ?? 0;
  let waits: number[] = [];
  let userMs: number[] = [];
  const client = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      const start = performance.now();
      const { header } = await worker.run(bundle, kind, functionPath, args, answer);
      if (header.kind !== "success") throw new Error(JSON.stringify(header));
      waits.push(performance.now() - start);
      userMs.push(header.userMs);
      if (connections === 1) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const slice = async (): Promise<number> => {
    const start = cpuMs(pid);
    const count = EXECUTIONS_PER_SLICE / connections;
    await Promise.all(Array.from({ length: connections }, () => client(count)));
    return (cpuMs(pid) - start) / EXECUTIONS_PER_SLICE;
  };
  await slice();
  [waits, userMs] = [[], []];
  const cpu: number[] = [];
  for (let index = 0; index < SLICES; index++) cpu.push(await slice());
  const row = [
    `${name.padEnd(24)}x${connections}`,
    `cpu min ${percentile(cpu, 0)} p50 ${percentile(cpu, 0.5)}`,
    `turns min ${percentile(userMs, 0)} p50 ${percentile(userMs, 0.5)}`,
    `wait p50 ${percentile(waits, 0.5)} p99 ${percentile(waits, 0.99)} ms`,
  ];
  console.log(row.join("  "));
}

const fixture = path.join(import.meta.dirname, "../test/fixture/convex");
const app = await bundleApp(fixture, ["messages.ts", "reused.ts"]);
const worker = await WorkerProcess.start();
const { snapshot } = await buildSnapshot(app);
const rows = [
  "query messages:list",
  "mutation messages:send",
  "query reused:list",
  "mutation reused:send",
];
for (const [label, blob] of [
  ["snapshot", snapshot],
  ["no snapshot", undefined],
] as const) {
  const bundle = await worker.load(app, { contextsAhead: 3, contextsPerIsolate: 50 }, blob);
  console.log(`${label}, ${blob?.length ?? 0} bytes`);
  for (const name of rows) {
    for (const connections of [1, 8]) await measure(worker, bundle, name, connections);
  }
  worker.unload(bundle);
}
await worker.stop();
