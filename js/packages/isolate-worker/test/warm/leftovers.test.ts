/** Every program must do the same in realms that run many executions as in fresh contexts. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { AppBundle } from "../app_bundle.ts";
import { WorkerProcess, buildSnapshot } from "../worker_process.ts";
import { instrument } from "../../src/warm/instrument.ts";
import { Unproven } from "../../src/warm/unproven.ts";
import { GIVEN_UP } from "./given_up.ts";
import { GIVEN_UP_CALLS, PATCHING } from "./given_up_calls.ts";
import type { Program } from "./program.ts";
import { UNDONE } from "./undone.ts";
import { UNPROVEN } from "./unproven.ts";

const WARM = { warmRealmsMax: 1, contextsAhead: 1 };
const PROBE = { name: "probe", module: "", run: "return 'ready';" };
const TRIES_MAX = 200;

/** A bundle as the linker makes it, each program a module of its own with one query `f`. */
function appOf(programs: readonly Program[]): AppBundle {
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

type Seen = Record<string, unknown>;

interface Run {
  seen: Seen;
  wasWarm: boolean;
  wasGivenUp: boolean;
}

class Runner {
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
    assert.ok(built.ok, built.message);
    return new Runner(worker, await worker.load(app, WARM, built.snapshot));
  }

  async #once(index: number, isFresh: boolean): Promise<{ seen: Seen; wasWarm: boolean }> {
    const name = `m${index}:f`;
    const { header, result } = await this.worker.run(this.bundle, "query", name, {}, () => null, {
      isFresh,
    });
    const { kind, error, logLines, observedTime, observedRandomness, envRead, consumed } = header;
    const lines = logLines.map(({ level, messages }) => [level, ...messages]);
    const observed = { observedTime, observedRandomness, envRead, consumed };
    return { seen: { kind, error, lines, observed, result }, wasWarm: header.contextReused };
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

/** Runs each program three times in warm realms; between them the probe makes sure of one. */
function compare(programs: readonly Program[], isGivenUp: boolean): void {
  const all = [...programs, PROBE];
  const started = Runner.start(all);
  after(async () => (await started).worker.stop());
  programs.forEach(({ name }, index) => {
    test(name, async () => {
      const runner = await started;
      const expected = await runner.fresh(index);
      assert.deepEqual(await runner.fresh(index), expected, "fresh contexts agree");
      assert.ok(await runner.becomesWarm(programs.length), "a warm realm is ready");
      const first = await runner.warm(index);
      assert.ok(first.wasWarm, "the first run is warm");
      const runs = [first, await runner.warm(index), await runner.warm(index)];
      for (const { seen } of runs) assert.deepEqual(seen, expected);
      assert.equal(first.wasGivenUp, isGivenUp);
    });
  });
}

describe("what executions leave is undone", () => compare(UNDONE, false));
describe("what cannot be undone is given up", () => compare(GIVEN_UP, true));
describe("patches at import change nothing of it", () => {
  for (const program of PATCHING) compare([program], true);
});
describe("what calls would do is given up", () => compare(GIVEN_UP_CALLS, true));

/** Whether there is no script for warm realms at all. */
function isRefused({ script }: AppBundle): boolean {
  try {
    instrument(script);
    return false;
  } catch (error) {
    assert.ok(error instanceof Unproven);
    return true;
  }
}

describe("apps that cannot be followed always run fresh", async () => {
  const worker = await WorkerProcess.start();
  after(() => worker.stop());
  for (const program of UNPROVEN) {
    test(program.name, async () => {
      if (isRefused(appOf([program]))) return;
      const runner = await Runner.start([program, PROBE], worker);
      const expected = await runner.fresh(0);
      for (let count = 0; count < 24; count++) {
        const { seen, wasWarm } = await runner.warm(0);
        assert.deepEqual(seen, expected);
        assert.equal(wasWarm, false);
      }
      runner.worker.unload(runner.bundle);
    });
  }
});
