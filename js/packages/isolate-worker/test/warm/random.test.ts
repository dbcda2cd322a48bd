/**
 * Random programs in turn in one warm realm and each in fresh contexts: same outcome, error, stack,
 * log lines and observations, in any order, whatever the seed and the time of an execution are.
 * WARM_PROGRAMS and WARM_SEED ask for more, or for those of a difference again. Each bundle has a
 * seed of its own, one more than that of the bundle before.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WorkerProcess } from "../worker_process.ts";
import { generate, Random } from "./generator.ts";
import type { Theme } from "./generator.ts";
import type { Program } from "./program.ts";
import { bundleConvex } from "./random/convex_package.ts";
import { appOf, PROBE, Runner, VARIATIONS } from "./runner.ts";
import type { Seen } from "./runner.ts";

const PROGRAMS = Number(process.env["WARM_PROGRAMS"] ?? 60);
const SEED = Number(process.env["WARM_SEED"] ?? 1);
const PER_BUNDLE = 60;
/** What one bundle after the other is about. */
const THEMES: readonly Theme[] = [
  ...["language", "webApis", "language", "convex", "language", "webApis"],
  ...["language", "language", "webApis", "language"],
] as Theme[];
const ROUNDS = 2;

interface Counts {
  /** Executions in warm realms that were not given up. */
  warm: number;
  /** Programs that had one. */
  warmPrograms: number;
  differences: number;
}

/** Text to put into a report: how to get the same program again, and what differs. */
function report(seed: number, { name, module, run }: Program, error: unknown): string {
  const head = `WARM_SEED=${seed} WARM_PROGRAMS=${PER_BUNDLE}, ${name}`;
  return `${head}\n${module}\n---\n${run.slice(run.indexOf("};\n") + 3)}\n---\n${String(error)}`;
}

function isSame(seen: Seen, expected: Seen | undefined): true | unknown {
  try {
    assert.deepEqual(seen, expected);
    return true;
  } catch (error) {
    return error;
  }
}

async function compareBundle(worker: WorkerProcess, seed: number, counts: Counts): Promise<void> {
  const random = new Random(seed);
  const theme = THEMES[seed % THEMES.length] as Theme;
  const programs = Array.from({ length: PER_BUNDLE }, (_, index) =>
    generate(random, `program ${index}`, theme),
  );
  const prelude = theme === "convex" ? await bundleConvex() : "";
  const runner = await Runner.startQuickly(worker, appOf([...programs, PROBE], prelude));
  const { wasWarm: isProven } = await runner.warm(programs.length);
  assert.ok(isProven, `seed ${seed} never becomes warm`);
  const expected = new Map<string, Seen>();
  const warm = new Set<number>();
  for (let turn = 0; turn < ROUNDS * programs.length; turn++) {
    const index = random.below(programs.length);
    const variation = random.below(VARIATIONS.length);
    const key = `${index} ${variation}`;
    if (!expected.has(key)) expected.set(key, await runner.fresh(index, variation));
    const { seen, wasWarm, wasGivenUp } = await runner.warm(index, variation);
    if (wasWarm && !wasGivenUp) {
      counts.warm += 1;
      warm.add(index);
    }
    const same = isSame(seen, expected.get(key));
    if (same === true) continue;
    counts.differences += 1;
    console.log(report(seed, programs[index] as Program, same));
  }
  counts.warmPrograms += warm.size;
  runner.worker.unload(runner.bundle);
}

test(`${PROGRAMS} random programs from seed ${SEED}`, { timeout: 1000 * PROGRAMS }, async () => {
  const counts: Counts = { warm: 0, warmPrograms: 0, differences: 0 };
  const worker = await WorkerProcess.start();
  after(() => worker.stop());
  for (let made = 0; made < PROGRAMS; made += PER_BUNDLE) {
    await compareBundle(worker, SEED + made / PER_BUNDLE, counts);
  }
  const { warm, warmPrograms, differences } = counts;
  console.log(`seed ${SEED}: ${PROGRAMS} programs, ${warmPrograms} ran warm, ${warm} times`);
  assert.equal(differences, 0);
  assert.ok(warmPrograms > PROGRAMS / 4, `only ${warmPrograms} programs were warm`);
});
