/** Runs programs in warm realms and in fresh contexts of one worker, as the backend would. */
import assert from "node:assert/strict";
import type { AppBundle } from "../app_bundle.ts";
import { WorkerProcess, buildSnapshot } from "../worker_process.ts";
import type { Program } from "./program.ts";

export const WARM = { warmRealmsMax: 1, contextsAhead: 1 };
export const PROBE = { name: "probe", module: "", run: "return 'ready';" };
const TRIES_MAX = 200;

/** A bundle as the linker makes it, each program a module of its own with one query `f`. */
export function appOf(programs: readonly Program[]): AppBundle {
  const thunks = programs.map(
    ({ module, run }, index) => `
      "m${index}.js": () => {
        ${module}
        const run = async () => { ${run} };
        const invokeQuery = async () => JSON.stringify((await run()) ?? null);
        return { f: { isQuery: true, isPublic: true, invokeQuery } };
      }`,
  );
  const script = `"use strict";\n(() => { globalThis.__fenchelModules = {${thunks.join(",")}}; })();`;
  return { script, sourceMap: "", modules: programs.map((_, index) => `m${index}.js`) };
}

export type Seen = Record<string, unknown>;

export interface Run {
  seen: Seen;
  wasWarm: boolean;
  wasGivenUp: boolean;
}

export class Runner {
  readonly worker: WorkerProcess;
  readonly bundle: number;

  constructor(worker: WorkerProcess, bundle: number) {
    this.worker = worker;
    this.bundle = bundle;
  }

  /** In a worker of its own unless there is one: bundles share the realms of a worker. */
  static async start(programs: readonly Program[], sharedWorker?: WorkerProcess): Promise<Runner> {
    const worker = sharedWorker ?? (await WorkerProcess.start());
    const app = appOf(programs);
    const built = await buildSnapshot(app, WARM);
    if (!built.ok) {
      if (sharedWorker === undefined) await worker.stop();
      assert.fail(built.message);
    }
    return new Runner(worker, await worker.load(app, WARM, built.snapshot));
  }

  async #once(index: number, isFresh: boolean): Promise<{ seen: Seen; wasWarm: boolean }> {
    const name = `m${index}:f`;
    const { header, result } = await this.worker.run(this.bundle, "query", name, {}, () => null, {
      isFresh,
      // Others use the machine too.
      patience: 30,
    });
    const { kind, error, logLines, observedTime, observedRandomness, envRead, consumed } = header;
    const lines = logLines.map(({ level, messages }) => [level, ...messages]);
    const observed = { observedTime, observedRandomness, envRead, consumed };
    return { seen: { kind, error, lines, observed, result }, wasWarm: header.realm === "warm" };
  }

  async fresh(index: number): Promise<Seen> {
    return (await this.#once(index, true)).seen;
  }

  /** As the backend does: what was given up is run again in a fresh context. */
  async warm(index: number): Promise<Run> {
    const { seen, wasWarm } = await this.#once(index, false);
    if (seen["kind"] !== "again") return { seen, wasWarm, wasGivenUp: false };
    return { seen: await this.fresh(index), wasWarm, wasGivenUp: true };
  }

  /** Runs the probe until a warm realm answers; false if none ever does. */
  async becomesWarm(probe: number): Promise<boolean> {
    for (let count = 0; count < TRIES_MAX; count++) {
      if ((await this.warm(probe)).wasWarm) return true;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return false;
  }
}
