/**
 * Random programs in turn in one warm realm and each in fresh contexts: same outcome, error, stack,
 * log lines and observations, in any order. WARM_PROGRAMS and WARM_SEED (printed) ask for more, or
 * for the same again.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WorkerProcess } from "../worker_process.ts";
import { generate, Random } from "./generator.ts";
import type { Program } from "./program.ts";
import { PROBE, Runner } from "./runner.ts";

const PROGRAMS = Number(process.env["WARM_PROGRAMS"] ?? 30);
const SEED = Number(process.env["WARM_SEED"] ?? 1);
const PER_BUNDLE = 30;
const ROUNDS = 3;

/** Text to put into a report: how to get the same program again. */
const describe = ({ name, module, run }: Program): string =>
  `WARM_SEED=${SEED}, ${name}\n${module}\n---\n${run.slice(run.indexOf("};\n") + 3)}`;

async function compareAll(
  worker: WorkerProcess,
  programs: readonly Program[],
  random: Random,
): Promise<number> {
  const runner = await Runner.start([...programs, PROBE], worker);
  const fresh = await Promise.all(programs.map((_, index) => runner.fresh(index)));
  let warmCount = 0;
  for (let turn = 0; turn < ROUNDS * programs.length; turn++) {
    const index = random.below(programs.length);
    if (turn % 4 === 0) await runner.becomesWarm(programs.length);
    const { seen, wasWarm, wasGivenUp } = await runner.warm(index);
    if (wasWarm && !wasGivenUp) warmCount += 1;
    const report = describe(programs[index] as Program);
    assert.deepEqual(seen, fresh[index], report);
  }
  runner.worker.unload(runner.bundle);
  return warmCount;
}

test(`${PROGRAMS} random programs of seed ${SEED}`, { timeout: 1000 * PROGRAMS }, async () => {
  const random = new Random(SEED);
  const worker = await WorkerProcess.start();
  after(() => worker.stop());
  let warmCount = 0;
  for (let made = 0; made < PROGRAMS; made += PER_BUNDLE) {
    const programs = Array.from({ length: PER_BUNDLE }, (_, index) =>
      generate(random, `program ${made + index}`),
    );
    warmCount += await compareAll(worker, programs, random);
  }
  console.log(`seed ${SEED}: ${PROGRAMS} programs, ${warmCount} executions in warm realms`);
  assert.ok(warmCount > PROGRAMS / 4, `only ${warmCount} executions were warm`);
});
