/**
 * Realms that run one execution after the other because their guard vouches that none leaves
 * anything behind (decision 0027). Each has an isolate of its own.
 *
 * Invariant: a realm is idle here, or taken by one execution, or gone.
 */
import { Command } from "../../../udf-runtime/src/host_interface.ts";
import { Generation } from "../generation.ts";
import type { RealmSource } from "../generation.ts";
import type { BundleHeader, ExecuteHeader } from "../protocol.ts";
import type { RealmContext } from "../realm_context.ts";
import { GUARD_FILE, guardSource, WARM_FILE } from "../snapshot.ts";
import type { WarmScript } from "./instrument.ts";

/** Executions that a bundle has had before a realm is prepared, which takes longer than they do. */
const EXECUTIONS_BEFORE = 16;
/** Misses that are worth letting all executions of the worker wait for a realm. */
const MISSES_UNDER_LOAD = 64;
const IMPORT_TIMEOUT_MS = 10_000;
/** How often a realm is used before it is thrown away. */
const USES_MAX = 20_000;
const USES_PER_HEAP_CHECK = 64;
const HEAP_SHARE_MAX = 0.5;

/** A bundle that ran nothing for so long may lose its realms to another. */
const IDLE_MS = 10_000;

/** The realms of a worker, whichever bundle they belong to. */
export class WarmBudget {
  readonly #owners = new Map<RealmContext, WarmRealms>();

  add(context: RealmContext, owner: WarmRealms): void {
    this.#owners.set(context, owner);
  }

  remove(context: RealmContext): void {
    this.#owners.delete(context);
  }

  /** Whether one more may be made; takes one from a bundle that is out of use if it must. */
  makeRoom(countMax: number): boolean {
    if (this.#owners.size < countMax) return true;
    const [oldest] = [...this.#owners.values()].toSorted((a, b) => a.usedMs - b.usedMs);
    if (oldest === undefined || performance.now() - oldest.usedMs < IDLE_MS) return false;
    return oldest.dropIdle();
  }
}

const functionName = ({ module, function: name }: ExecuteHeader): string => `${module}:${name}`;

export class WarmRealms {
  readonly #header: BundleHeader;
  readonly #source: () => RealmSource;
  /** Null once the app has turned out to be unproven. */
  #script: WarmScript | null;
  #idle: RealmContext[] = [];
  /** Idle and taken ones, with the number of their executions. */
  readonly #uses = new Map<RealmContext, number>();
  /** Functions that do what only fresh realms may. */
  readonly #freshOnly = new Set<string>();
  readonly #budget: WarmBudget;
  #executions = 0;
  /** Executions that found no idle realm since the last one was made. */
  #misses = 0;
  /** When an execution last asked for a realm. */
  usedMs = performance.now();

  constructor(
    header: BundleHeader,
    script: WarmScript | null,
    source: () => RealmSource,
    budget: WarmBudget,
  ) {
    this.#header = header;
    this.#budget = budget;
    this.#script = header.warmRealmsMax > 0 ? script : null;
    this.#source = source;
  }

  /** A realm for a query or mutation, if one is idle and may run it. */
  take(execution: ExecuteHeader): RealmContext | undefined {
    this.#executions += 1;
    this.usedMs = performance.now();
    if (execution.isFresh || this.#freshOnly.has(functionName(execution))) return undefined;
    let context = this.#idle.pop();
    while (context !== undefined && !context.generation.isUsable) {
      this.discard(context);
      context = this.#idle.pop();
    }
    if (context === undefined) this.#misses += 1;
    return context;
  }

  /** Takes the realm back after an execution; false when it should rather be released. */
  keep(context: RealmContext): boolean {
    const uses = (this.#uses.get(context) ?? 0) + 1;
    const isWorn = uses >= USES_MAX || (uses % USES_PER_HEAP_CHECK === 0 && this.#isHeavy(context));
    if (this.#script === null || isWorn) return false;
    this.#uses.set(context, uses);
    this.#idle.push(context);
    return true;
  }

  discard(context: RealmContext): void {
    this.#uses.delete(context);
    this.#budget.remove(context);
    context.generation.release(context);
  }

  /** From now on the function runs in fresh contexts only. */
  rememberFault(execution: ExecuteHeader): void {
    this.#freshOnly.add(functionName(execution));
  }

  /** Prepares one realm if executions miss one and there may be more. Returns whether it did. */
  prepareOne(): boolean {
    if (this.#script === null || this.#executions < EXECUTIONS_BEFORE) return false;
    if (this.#misses === 0 || !this.#budget.makeRoom(this.#header.warmRealmsMax)) return false;
    this.#misses = 0;
    const context = new Generation(this.#source(), 1).take();
    const reason = importInto(context, this.#script, this.#header);
    if (reason === "") {
      this.#uses.set(context, 0);
      this.#budget.add(context, this);
      this.#idle.push(context);
      return true;
    }
    context.generation.release(context);
    console.error(`no warm realms bundle=${this.#header.key.slice(0, 12)} reason=${reason}`);
    this.unload();
    return false;
  }

  /** The same under load, which never lets up: once many executions have missed one. */
  prepareOneUnderLoad(): boolean {
    return this.#misses >= MISSES_UNDER_LOAD && this.prepareOne();
  }

  /** Gives one realm up for another bundle; false when all are at work. */
  dropIdle(): boolean {
    const context = this.#idle.pop();
    if (context !== undefined) this.discard(context);
    return context !== undefined;
  }

  unload(): void {
    this.#script = null;
    for (const context of this.#idle.splice(0)) this.discard(context);
  }

  #isHeavy(context: RealmContext): boolean {
    const { used_heap_size: used } = context.generation.isolate.getHeapStatisticsSync();
    return used > HEAP_SHARE_MAX * this.#header.heapMiB * 1024 * 1024;
  }
}

/** Evaluates the app under the guard. Returns why it is unproven, or "". */
function importInto(context: RealmContext, script: WarmScript, header: BundleHeader): string {
  const { importSeed, importUnixMs, env } = header;
  let asked: string | undefined;
  context.onHostCall = (op) => {
    asked ??= `${op} at import`;
    return `0${JSON.stringify({ message: `${op} unsupported at import time` })}`;
  };
  try {
    context.installGuard(guardSource(), GUARD_FILE, script.webApis);
    context.call(0, Command.Configure, importSeed, importUnixMs, JSON.stringify(env));
    context.run(script.code, WARM_FILE, IMPORT_TIMEOUT_MS);
    context.call(IMPORT_TIMEOUT_MS, Command.EvaluateModules);
    const reason = context.call(IMPORT_TIMEOUT_MS, Command.Seal) ?? "";
    return asked ?? reason;
  } catch (error) {
    return `import failed: ${String(error)}`;
  } finally {
    context.onHostCall = null;
  }
}
