/**
 * Realms that run one execution after the other because their guard vouches that none leaves
 * anything behind (decision 0027). Each has an isolate of its own.
 *
 * Invariant: a realm is idle here, or taken by one execution, or gone.
 */
import { Command } from "../../../udf-runtime/src/host_interface.ts";
import { Generation } from "../generation.ts";
import type { RealmSource } from "../generation.ts";
import { configuration } from "../protocol.ts";
import type { BundleHeader, ExecuteHeader, WhyFresh } from "../protocol.ts";
import { TurnTimeout } from "../realm_context.ts";
import type { RealmContext } from "../realm_context.ts";
import { GUARD_FILE, guardSource, WARM_FILE } from "../snapshot.ts";
import type { WarmScript } from "./instrument.ts";
import type { RealmOwner, WarmBudget } from "./warm_budget.ts";
import type { WarmScriptAnswer } from "./warm_script.ts";

/** The time over which executions are counted, to tell whether a bundle is worth a realm. */
const COUNT_MS = 60_000;
/** Misses that are worth letting all executions of the worker wait for a realm. */
const MISSES_UNDER_LOAD = 64;
/** Of each step. Others may have the machine: what makes a worker hung is counted in processor time. */
const IMPORT_TIMEOUT_MS = 3_000;
/** How often a realm is used before it is thrown away. */
const USES_MAX = 20_000;
const USES_PER_HEAP_CHECK = 64;
const HEAP_SHARE_MAX = 0.5;

/** A function costs more than it gains when it spoils realms more often than once in so many runs. */
const RUNS_PER_REALM_MIN = 64;
const SPOILED_MIN = 3;

const AGAIN: WhyFresh = { cause: "again", detail: "" };
const UNREADY: WhyFresh = { cause: "unready", detail: "" };

const functionName = ({ module, function: name }: ExecuteHeader): string => `${module}:${name}`;

export class WarmRealms implements RealmOwner {
  readonly #header: BundleHeader;
  readonly #source: () => RealmSource;
  /** Null before it came, and once the app has turned out to be unproven. */
  #script: WarmScript | null = null;
  #whyNone = UNREADY;
  #idle: RealmContext[] = [];
  /** Idle and taken ones, with the number of their executions. */
  readonly #uses = new Map<RealmContext, number>();
  /** Runs in warm realms of each function, and how many of those no other could follow. */
  readonly #ends = new Map<string, { runs: number; spoiled: number }>();
  /** Functions that do what only fresh realms may. */
  readonly #freshOnly = new Map<string, WhyFresh>();
  readonly #budget: WarmBudget;
  #executions = 0;
  #countedFromMs = performance.now();
  /** Executions that found no idle realm since the last one was made. */
  #misses = 0;
  /** How large one becomes, as far as is known. */
  #realmBytes = 0;

  constructor(header: BundleHeader, source: () => RealmSource, budget: WarmBudget) {
    this.#header = header;
    this.#source = source;
    this.#budget = budget;
  }

  receive(answer: WarmScriptAnswer): void {
    if (this.#header.warmRealmsMax === 0) return;
    if (answer.isProven) this.#script = answer.script;
    else this.#giveUp(answer.reason);
  }

  /** A realm for a query or mutation, or why it gets none; undefined if none are wanted. */
  take(execution: ExecuteHeader): RealmContext | WhyFresh | undefined {
    if (this.#header.warmRealmsMax === 0) return undefined;
    this.#countExecution();
    if (this.#script === null) return this.#whyNone;
    if (execution.isFresh) return AGAIN;
    const fault = this.#freshOnly.get(functionName(execution));
    if (fault !== undefined) return fault;
    const realm = this.#takeIdle() ?? this.#makeAtOnce();
    if (realm !== undefined) return realm;
    this.#misses += 1;
    return this.#whyNone;
  }

  #takeIdle(): RealmContext | undefined {
    let realm = this.#idle.pop();
    while (realm !== undefined && !realm.generation.isUsable) {
      this.discard(realm);
      realm = this.#idle.pop();
    }
    return realm;
  }

  #countExecution(): void {
    const now = performance.now();
    if (now - this.#countedFromMs > COUNT_MS) {
      this.#countedFromMs = now;
      this.#executions = 0;
    }
    this.#executions += 1;
  }

  /** Takes the realm back after an execution; false when it should rather be released. */
  keep(realm: RealmContext): boolean {
    const uses = (this.#uses.get(realm) ?? 0) + 1;
    const isWorn = uses >= USES_MAX || (uses % USES_PER_HEAP_CHECK === 0 && this.#isHeavy(realm));
    if (this.#script === null || isWorn) return false;
    this.#uses.set(realm, uses);
    this.#budget.touch(realm);
    this.#idle.push(realm);
    return true;
  }

  discard(realm: RealmContext): void {
    this.#uses.delete(realm);
    this.#budget.remove(realm);
    realm.generation.release(realm);
  }

  /** From now on the function runs in fresh contexts only. */
  rememberFault(execution: ExecuteHeader, fault: string): void {
    this.#freshOnly.set(functionName(execution), { cause: "function", detail: fault });
  }

  /** An execution has ended in a warm realm, which may go on or not. */
  recordEnd(execution: ExecuteHeader, mayKeep: boolean): void {
    const name = functionName(execution);
    const ends = this.#ends.get(name) ?? { runs: 0, spoiled: 0 };
    this.#ends.set(name, ends);
    ends.runs += 1;
    if (mayKeep) return;
    ends.spoiled += 1;
    if (ends.spoiled < SPOILED_MIN || ends.spoiled * RUNS_PER_REALM_MIN < ends.runs) return;
    if (!this.#freshOnly.has(name)) this.rememberFault(execution, "ends that spoil its realm");
  }

  /** Prepares one realm if executions miss one and there may be more. Returns whether it did. */
  prepareOne(): boolean {
    if (this.#script === null || this.#misses === 0) return false;
    if (this.#executions < this.#header.warmAfterExecutions || !this.#mayMake()) return false;
    this.#budget.onPrepare();
    const realm = this.#make(this.#script);
    if (realm !== undefined) this.#idle.push(realm);
    return realm !== undefined;
  }

  /** The same under load, which never lets up: once many executions have missed one. */
  prepareOneUnderLoad(): boolean {
    return this.#misses >= MISSES_UNDER_LOAD && this.prepareOne();
  }

  #makeAtOnce(): RealmContext | undefined {
    if (this.#script === null || this.#header.warmAfterExecutions > 0) return undefined;
    return this.#mayMake() ? this.#make(this.#script) : undefined;
  }

  #mayMake(): boolean {
    return this.#budget.makeRoom(this, this.#realmBytes, this.#header);
  }

  #make(script: WarmScript): RealmContext | undefined {
    this.#misses = 0;
    const realm = new Generation(this.#source(), 1).take();
    const reason = importInto(realm, script, this.#header);
    const bytes = bytesOf(realm);
    this.#realmBytes = Math.max(this.#realmBytes, bytes);
    if (reason === "" && this.#mayMake()) {
      this.#uses.set(realm, 0);
      this.#budget.add(realm, this, bytes);
      return realm;
    }
    realm.generation.release(realm);
    if (reason !== "") this.#giveUp(reason);
    else if (bytes > this.#header.warmRealmBytesMax) {
      this.#giveUp(`a realm takes ${bytes >> 20} MiB, which is too much`);
    }
    return undefined;
  }

  #giveUp(reason: string): void {
    this.#whyNone = { cause: "app", detail: reason };
    this.unload();
  }

  dropIdle(realm: RealmContext): boolean {
    const index = this.#idle.indexOf(realm);
    if (index < 0) return false;
    this.#idle.splice(index, 1);
    this.discard(realm);
    return true;
  }

  unload(): void {
    this.#script = null;
    for (const realm of this.#idle.splice(0)) this.discard(realm);
  }

  #isHeavy(realm: RealmContext): boolean {
    const { used_heap_size: used } = realm.generation.isolate.getHeapStatisticsSync();
    if (used > HEAP_SHARE_MAX * this.#header.heapMiB * 1024 * 1024) return true;
    const bytes = bytesOf(realm);
    if (this.#budget.mayGrow(realm, bytes, this.#header)) return false;
    // The next one will become as large: it is only made if there is room for that.
    this.#realmBytes = Math.max(this.#realmBytes, bytes);
    return true;
  }
}

/** What the realm's isolate takes of the worker's memory. */
function bytesOf(realm: RealmContext): number {
  const { isolate } = realm.generation;
  if (isolate.isDisposed) return 0;
  // Measured: the same as what the process grows by (bench/realm_memory.ts).
  const { total_physical_size: heap, externally_allocated_size: external } =
    isolate.getHeapStatisticsSync();
  return heap + external;
}

/** Evaluates the app under the guard. Returns why it is unproven, or "". */
function importInto(context: RealmContext, script: WarmScript, header: BundleHeader): string {
  let asked: string | undefined;
  context.onHostCall = (op) => {
    asked ??= `${op} at import`;
    return `0${JSON.stringify({ message: `${op} unsupported at import time` })}`;
  };
  try {
    context.installGuard(guardSource(), GUARD_FILE, script.webApis);
    context.call(0, Command.Configure, ...configuration(header));
    context.run(script.code, WARM_FILE, IMPORT_TIMEOUT_MS);
    context.call(IMPORT_TIMEOUT_MS, Command.EvaluateModules);
    const reason = context.call(IMPORT_TIMEOUT_MS, Command.Seal) ?? "";
    return asked ?? reason;
  } catch (error) {
    if (error instanceof TurnTimeout) return `import took longer than ${IMPORT_TIMEOUT_MS} ms`;
    return `import failed: ${String(error)}`;
  } finally {
    context.onHostCall = null;
  }
}
