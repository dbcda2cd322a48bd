/** Runs programs in warm realms and in fresh contexts of one worker, as the backend would. */
import assert from "node:assert/strict";
import { buildWarmScript } from "../../src/warm/warm_script.ts";
import type { AppBundle } from "../app_bundle.ts";
import { NOW_MS, SEED, WorkerProcess, buildSnapshot } from "../worker_process.ts";
import type { Answer } from "../worker_process.ts";
import type { Program } from "./program.ts";

export const WARM = { warmRealmsMax: 1, contextsAhead: 1 };
export const PROBE = { name: "probe", module: "", run: "return 'ready';" };
const TRIES_MAX = 200;

/** What differs between executions: results must come from their own. */
export const VARIATIONS = [
  { seed: SEED, unixMs: NOW_MS },
  { seed: SEED.replaceAll("1", "a"), unixMs: NOW_MS + 86_400_000 },
] as const;

/** A database that finds, inserts and pages as it was asked, and refuses everything else. */
function answerSyscall(op: string, args: unknown): Answer {
  const { id } = args as { id?: unknown };
  if (op === "1.0/get" && id !== "missing") return JSON.stringify({ _id: id, text: "a" });
  if (op === "1.0/insert") return '{"_id":"made"}';
  if (op === "fenchel/queryPage") return '1\n{"_id":"one","text":"a"}';
  return { message: `No ${op} here`, data: { op } };
}

/**
 * A bundle as the linker makes it, each program a module of its own with one query `f`; `prelude` is
 * code in front of all.
 */
export function appOf(programs: readonly Program[], prelude = ""): AppBundle {
  const thunks = programs.map(
    ({ module, run }, index) => `
      "m${index}.js": () => {
        ${module}
        const run = async () => { ${run} };
        const invokeQuery = async () => JSON.stringify((await run()) ?? null);
        return { f: { isQuery: true, isPublic: true, invokeQuery } };
      }`,
  );
  const script = `"use strict";\n(() => { ${prelude}\nglobalThis.__fenchelModules = {${thunks.join(",")}}; })();`;
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

  /** With a snapshot, and in a worker of its own: bundles share the realms of a worker. */
  static async start(programs: readonly Program[]): Promise<Runner> {
    const worker = await WorkerProcess.start();
    const app = appOf(programs);
    const built = await buildSnapshot(app, WARM);
    if (!built.ok) {
      await worker.stop();
      assert.fail(built.message);
    }
    return new Runner(worker, await worker.load(app, WARM, built.snapshot));
  }

  /** Without a snapshot, which takes its time; a warm realm is made when one is missing. */
  static async startQuickly(worker: WorkerProcess, app: AppBundle): Promise<Runner> {
    const bundle = await worker.load(app, { ...WARM, contextsAhead: 0, warmAfterExecutions: 0 });
    worker.giveWarmScript(bundle, buildWarmScript(app.script));
    return new Runner(worker, bundle);
  }

  async #once(
    index: number,
    variation: number,
    isFresh: boolean,
  ): Promise<{ seen: Seen; wasWarm: boolean }> {
    const name = `m${index}:f`;
    // Others use the machine too.
    const execution = { ...VARIATIONS[variation], isFresh, patience: 30 };
    const outcome = this.worker.run(this.bundle, "query", name, {}, answerSyscall, execution);
    const { header, result } = await outcome;
    const { kind, error, logLines, observedTime, observedRandomness, envRead, consumed } = header;
    const lines = logLines.map(({ level, messages }) => [level, ...messages]);
    const observed = { observedTime, observedRandomness, envRead, consumed };
    return { seen: { kind, error, lines, observed, result }, wasWarm: header.realm === "warm" };
  }

  async fresh(index: number, variation = 0): Promise<Seen> {
    return (await this.#once(index, variation, true)).seen;
  }

  /** As the backend does: what was given up is run again in a fresh context. */
  async warm(index: number, variation = 0): Promise<Run> {
    const { seen, wasWarm } = await this.#once(index, variation, false);
    if (seen["kind"] !== "again") return { seen, wasWarm, wasGivenUp: false };
    return { seen: await this.fresh(index, variation), wasWarm, wasGivenUp: true };
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
