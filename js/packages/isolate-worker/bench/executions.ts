/**
 * How many executions does one worker process do per second of its CPU, fresh and reused?
 *
 * Estimate (engine findings): fresh list of 20 documents 1.2 ms CPU of which 0.6 ms are waited for;
 * fresh insert 0.7 and 0.14 ms; reused 0.11 and 0.03 ms. Run: node bench/executions.ts [seconds per
 * row]
 */
import fs from "node:fs";
import path from "node:path";
import { bundleApp } from "../test/app_bundle.ts";
import { WorkerProcess, buildSnapshot } from "../test/worker_process.ts";
import type { Answerer } from "../test/worker_process.ts";

const SECONDS = Number(process.argv[2] ?? 2);
const TICKS_PER_SECOND = 100;

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

function cpuSeconds(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const percentile = (sorted: number[], share: number): string =>
  (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(3);

async function measure(
  worker: WorkerProcess,
  bundle: number,
  name: string,
  connections: number,
): Promise<void> {
  const [kind, functionPath] = name.split(" ") as ["query" | "mutation", string];
  const args = kind === "query" ? { channel: "c" } : { author: "ada", body: "hello" };
  const waits: number[] = [];
  const pid = worker.child.pid ?? 0;
  const runUntil = async (end: number): Promise<void> => {
    while (performance.now() < end) {
      const start = performance.now();
      const { header } = await worker.run(bundle, kind, functionPath, args, answer);
      if (header.kind !== "success") throw new Error(JSON.stringify(header));
      waits.push(performance.now() - start);
      // A real client is not back at once: gives preparation ahead its chance.
      if (connections === 1) await new Promise((resolve) => setTimeout(resolve, 3));
    }
  };
  const rounds = async (seconds: number): Promise<void> => {
    const end = performance.now() + seconds * 1000;
    await Promise.all(Array.from({ length: connections }, () => runUntil(end)));
  };
  await rounds(0.3);
  waits.length = 0;
  const [cpu, start] = [cpuSeconds(pid), performance.now()];
  await rounds(SECONDS);
  const [used, seconds] = [cpuSeconds(pid) - cpu, (performance.now() - start) / 1000];
  waits.sort((left, right) => left - right);
  const perSecond = (waits.length / seconds).toFixed(0);
  const cpuMs = ((used / waits.length) * 1000).toFixed(3);
  const row = [name.padEnd(26), `x${connections}`.padEnd(4), `${perSecond}/s`, `cpu ${cpuMs} ms`];
  console.log(
    [...row, `p50 ${percentile(waits, 0.5)} p99 ${percentile(waits, 0.99)} ms`].join("  "),
  );
}

const fixture = path.join(import.meta.dirname, "../test/fixture/convex");
const app = await bundleApp(fixture, ["messages.ts", "reused.ts"]);
const worker = await WorkerProcess.start();
const { snapshot } = await buildSnapshot(app);
for (const [label, blob, contextsPerIsolate] of [
  ["snapshot", snapshot, 50],
  ["no snapshot", undefined, 50],
] as const) {
  const bundle = await worker.load(app, { contextsAhead: 4, contextsPerIsolate }, blob);
  console.log(`${label}, ${blob?.length ?? 0} bytes, ${contextsPerIsolate} contexts per isolate`);
  for (const name of [
    "query messages:list",
    "mutation messages:send",
    "query reused:list",
    "mutation reused:send",
  ]) {
    for (const connections of [1, 8]) await measure(worker, bundle, name, connections);
  }
  worker.unload(bundle);
}
await worker.stop();
