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
import { appOf, PROBE, Runner, WARM } from "./runner.ts";
import { UNDONE } from "./undone.ts";
import { UNPROVEN } from "./unproven.ts";
import { WRITTEN_DOWN } from "./written_down.ts";

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
describe("what is written down is undone", () => compare(WRITTEN_DOWN, false));
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

/**
 * A snapshot whose contexts know none of the app's modules, around the script for warm realms: what
 * the builder would make takes its time, and here it only matters who runs warm.
 */
async function buildEmptySnapshot(): Promise<(app: AppBundle) => Buffer> {
  const { snapshot } = await buildSnapshot({ script: "", sourceMap: "", modules: [] });
  // Nonce, length of the script for warm realms, that script, the engine's blob (snapshot.ts).
  const [nonce, blob] = [snapshot.subarray(0, 32), snapshot.subarray(36)];
  return ({ script }) => {
    const warm = Buffer.from(JSON.stringify({ isProven: true, script: instrument(script) }));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(warm.length);
    return Buffer.concat([nonce, length, warm, blob]);
  };
}

describe("apps that cannot be followed always run fresh", async () => {
  const worker = await WorkerProcess.start();
  after(() => worker.stop());
  const snapshotOf = await buildEmptySnapshot();
  const isEverWarm = async (app: AppBundle): Promise<boolean> => {
    const bundle = await worker.load(app, WARM, snapshotOf(app));
    // A worker that is never idle makes a realm after 64 executions without one.
    for (let count = 0; count < 72; count++) {
      const { header } = await worker.run(bundle, "query", "m0:f");
      if (header.realm === "warm") return true;
      await new Promise((resolve) => setImmediate(resolve));
    }
    worker.unload(bundle);
    return false;
  };
  for (const program of UNPROVEN) {
    test(program.name, async () => {
      const app = appOf([program]);
      if (!isRefused(app)) assert.equal(await isEverWarm(app), false);
    });
  }
  test("but this one", async () => assert.ok(await isEverWarm(appOf([PROBE]))));
});
