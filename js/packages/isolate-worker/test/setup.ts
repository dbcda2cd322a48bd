/**
 * One bundle of all fixture modules and one worker per test file; both runs, with and without
 * snapshot.
 */
import { after } from "node:test";
import path from "node:path";
import { bundleApp } from "./app_bundle.ts";
import type { AppBundle } from "./app_bundle.ts";
import { WorkerProcess, buildSnapshot } from "./worker_process.ts";
import type { Answerer, Outcome } from "./worker_process.ts";
import type { BundleHeader, ExecuteHeader } from "../src/protocol.ts";

export const FIXTURE = path.join(import.meta.dirname, "fixture", "convex");
export const ENTRIES = [
  "auth.config.ts",
  "convex.config.ts",
  "crons.ts",
  "files.ts",
  "http.ts",
  "limits.ts",
  "logs.ts",
  "messages.ts",
  "network.ts",
  "probe.ts",
  "reused.ts",
  "schema.ts",
  "subtle.ts",
  "web.ts",
];

/** Modules that throw when they are imported: an app with one of them gets no snapshot. */
export const FAILING_ENTRIES = ["broken.ts", "database_at_import.ts"];

export interface Setup {
  app: AppBundle;
  worker: WorkerProcess;
  bundle: number;
  /** Runs a function of the bundle to its outcome. */
  run(
    kind: ExecuteHeader["kind"],
    functionPath: string,
    args?: unknown,
    answerer?: Answerer,
    header?: Partial<ExecuteHeader>,
  ): Promise<Outcome>;
  /** The decoded result of a run that must succeed. */
  result(...args: Parameters<Setup["run"]>): Promise<unknown>;
}

/** Starts a worker with the fixture loaded; `useSnapshot` as most bundles run. */
export async function setUp(
  useSnapshot: boolean,
  header: Partial<BundleHeader> = {},
): Promise<Setup> {
  const app = await bundleApp(FIXTURE, useSnapshot ? ENTRIES : [...ENTRIES, ...FAILING_ENTRIES]);
  const worker = await WorkerProcess.start();
  let snapshot: Buffer | undefined;
  if (useSnapshot) {
    const built = await buildSnapshot(app, header);
    if (!built.ok) throw new Error(built.message);
    snapshot = built.snapshot;
  }
  const bundle = await worker.load(app, header, snapshot);
  after(() => worker.stop());
  const run: Setup["run"] = (kind, functionPath, ...rest) =>
    worker.run(bundle, kind, functionPath, ...rest);
  const result: Setup["result"] = async (...args) => {
    const outcome = await run(...args);
    if (outcome.header.kind !== "success") throw new Error(JSON.stringify(outcome.header));
    return JSON.parse(outcome.result) as unknown;
  };
  return { app, worker, bundle, run, result };
}

export const BOTH_WAYS = [
  { way: "from a snapshot", useSnapshot: true },
  { way: "without a snapshot", useSnapshot: false },
];
