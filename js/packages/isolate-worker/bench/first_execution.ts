/**
 * What does the first execution of a bundle in a worker take, with a rehearsed snapshot and with
 * one that was not?
 *
 * Estimate: a later execution takes 0.6 ms of turns; the first one compiles what it calls for 3 ms
 * more, unless the snapshot holds it. Run: node bench/first_execution.ts [rounds]
 */
import path from "node:path";
import { bundleApp } from "../test/app_bundle.ts";
import { WorkerProcess, buildSnapshot } from "../test/worker_process.ts";
import type { Answerer } from "../test/worker_process.ts";

const ROUNDS = Number(process.argv[2] ?? 15);
const LATER = 12;

const row = (index: number): string =>
  JSON.stringify({ _creationTime: 1.5, _id: `k${index}`, author: "ada", body: `hello ${index}` });
const page = `1\n${Array.from({ length: 20 }, (_, index) => row(index)).join("\n")}`;
const answer: Answerer = (op) => (op === "fenchel/queryPage" ? page : '{"_id":"k0"}');

const median = (values: number[]): string =>
  (values.toSorted((left, right) => left - right)[values.length >> 1] ?? 0).toFixed(2);

const fixture = path.join(import.meta.dirname, "../test/fixture/convex");
const app = await bundleApp(fixture, ["messages.ts", "reused.ts"]);
const snapshots = {
  plain: (await buildSnapshot(app, {}, false)).snapshot,
  rehearsed: (await buildSnapshot(app, {}, true)).snapshot,
};
type Name = keyof typeof snapshots;

/** Turns and waits, in ms, of the executions after a load, each first one in a new isolate. */
async function measure(worker: WorkerProcess, name: Name): Promise<[number, number][]> {
  const bundle = await worker.load(app, { contextsAhead: 3 }, snapshots[name]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const found: [number, number][] = [];
  for (let index = 0; index <= LATER; index++) {
    const start = performance.now();
    const { header } = await worker.run(bundle, "query", "messages:list", { channel: "c" }, answer);
    found.push([header.userMs, performance.now() - start]);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  worker.unload(bundle);
  return found;
}

const worker = await WorkerProcess.start();
const found: Record<Name, [number, number][][]> = { plain: [], rehearsed: [] };
for (let round = 0; round < ROUNDS; round++) {
  for (const name of ["plain", "rehearsed"] as const) found[name].push(await measure(worker, name));
}
await worker.stop();
for (const name of ["plain", "rehearsed"] as const) {
  const firsts = found[name].map(([first]) => first ?? [0, 0]);
  const later = found[name].flatMap((times) => times.slice(2));
  const show = (times: [number, number][]): string =>
    `turns ${median(times.map(([turns]) => turns))} wait ${median(times.map(([, wait]) => wait))}`;
  console.log(
    `${name.padEnd(10)} ${snapshots[name].length} bytes  first ${show(firsts)}  later ${show(later)} ms`,
  );
}
