/** One loaded code bundle: where its executions get their contexts from. */
import { ContextPool } from "./context_pool.ts";
import { Generation } from "./generation.ts";
import type { RealmSource } from "./generation.ts";

import type { BundleHeader, ExecuteHeader, WhyFresh } from "./protocol.ts";
import type { RealmContext } from "./realm_context.ts";
import { createRuntimeSnapshot, decodeAppSnapshot } from "./snapshot.ts";
import type { RealmSnapshot } from "./snapshot.ts";
import { StackMapper } from "./stack_mapper.ts";
import type { WarmBudget } from "./warm/warm_budget.ts";
import type { WarmScriptAnswer } from "./warm/warm_script.ts";
import { WarmRealms } from "./warm/warm_realms.ts";

/** Contexts kept for modules that opted in to reuse (specification 7.6), per module. */
const REUSABLE_PER_MODULE_MAX = 8;
/** How often a context is reused before it is thrown away, to bound what a module can pile up. */
const USES_MAX = 20_000;
/** A reused context goes when its isolate holds more than this share of its memory limit. */
const HEAP_SHARE_MAX = 0.5;
const USES_PER_HEAP_CHECK = 64;

let runtimeSnapshot: RealmSnapshot | null = null;

function getRuntimeSnapshot(): RealmSnapshot {
  runtimeSnapshot ??= createRuntimeSnapshot();
  return runtimeSnapshot;
}

export class Bundle {
  readonly header: BundleHeader;
  readonly script: string;
  readonly stackMapper: StackMapper;
  readonly warmRealms: WarmRealms;
  readonly #contexts: ContextPool;
  /** Contexts with what HTTP actions use; null without HTTP actions. */
  readonly #httpContexts: ContextPool | null;
  /** Set by the first HTTP action: until then none is made ahead. */
  #areHttpContextsUsed = false;
  readonly #reusable = new Map<string, RealmContext[]>();
  readonly #uses = new WeakMap<RealmContext, number>();
  #isUnloaded = false;

  constructor(
    header: BundleHeader,
    script: string,
    sourceMap: string,
    snapshot: Buffer,
    budget: WarmBudget,
  ) {
    this.header = header;
    this.script = script;
    const built = snapshot.length > 0 ? decodeAppSnapshot(snapshot) : null;
    this.stackMapper = new StackMapper(sourceMap);
    const warmSource = (): RealmSource => ({ ...this.#runtimeSource(), script: null });
    this.warmRealms = new WarmRealms(header, warmSource, budget);
    const { warmJson = "" } = built ?? {};
    if (warmJson !== "") this.receiveWarmScript(warmJson);
    const appSource = (realm: RealmSnapshot): RealmSource => ({ header, realm, script: null });
    this.#contexts = new ContextPool(built ? appSource(built.realm) : this.#runtimeSource());
    this.#httpContexts = built?.httpRealm ? new ContextPool(appSource(built.httpRealm)) : null;
  }

  /** What the builder said when the backend asked it for a script for warm realms. */
  receiveWarmScript(json: string): void {
    const answer = JSON.parse(json) as WarmScriptAnswer;
    if (answer.isProven) this.stackMapper.setShifts(answer.script.shifts);
    this.warmRealms.receive(answer);
  }

  #runtimeSource(): RealmSource {
    return { header: this.header, realm: getRuntimeSnapshot(), script: this.script };
  }

  /** A context for one execution, prepared ahead if possible. */
  take(kind: ExecuteHeader["kind"]): RealmContext {
    if (kind !== "httpAction" || this.#httpContexts === null) return this.#contexts.take();
    this.#areHttpContextsUsed = true;
    return this.#httpContexts.take();
  }

  /**
   * A realm for a query or mutation, or why it gets none. Modules that opted in to reuse, which is
   * faster, get none.
   */
  takeWarm(execution: ExecuteHeader): RealmContext | WhyFresh | undefined {
    return this.#reusable.has(execution.module) ? undefined : this.warmRealms.take(execution);
  }

  /** The module opts in to reuse: from now on it gets contexts that it may keep. */
  rememberReuse(module: string): void {
    if (!this.#reusable.has(module)) this.#reusable.set(module, []);
  }

  /** A context that an earlier execution of the module left, if the module opted in. */
  takeReusable(module: string): RealmContext | undefined {
    const kept = this.#reusable.get(module) ?? [];
    for (let context = kept.pop(); context !== undefined; context = kept.pop()) {
      if (context.generation.isUsable) return context;
      context.generation.release(context);
    }
    return undefined;
  }

  /** Keeps the context for the module; false when it should rather be released. */
  keepReusable(module: string, context: RealmContext): boolean {
    const uses = (this.#uses.get(context) ?? 0) + 1;
    this.#uses.set(context, uses);
    const kept = this.#reusable.get(module) ?? [];
    if (this.#isUnloaded || uses >= USES_MAX || kept.length >= REUSABLE_PER_MODULE_MAX)
      return false;
    if (uses % USES_PER_HEAP_CHECK === 0 && this.#isHeavy(context)) return false;
    kept.push(context);
    this.#reusable.set(module, kept);
    return true;
  }

  #isHeavy(context: RealmContext): boolean {
    const { used_heap_size: used } = context.generation.isolate.getHeapStatisticsSync();
    return used > HEAP_SHARE_MAX * this.header.heapMiB * 1024 * 1024;
  }

  /** An isolate of its own with the app not yet evaluated, for evaluators. */
  takeUnevaluated(): RealmContext {
    return new Generation(this.#runtimeSource(), 1).take();
  }

  /** Makes ready for the first execution. */
  prepareFirst(): void {
    this.#contexts.prepareFirst();
  }

  /** Prepares one context if fewer are ready than wanted. Returns whether it did. */
  prepareOne(): boolean {
    if (this.#isUnloaded) return false;
    if (this.#contexts.prepareOne()) return true;
    if (this.#areHttpContextsUsed && this.#httpContexts?.prepareOne() === true) return true;
    return this.warmRealms.prepareOne();
  }

  unload(): void {
    this.#isUnloaded = true;
    this.warmRealms.unload();
    for (const kept of this.#reusable.values()) {
      for (const context of kept) context.generation.release(context);
    }
    this.#reusable.clear();
    this.#contexts.retire();
    this.#httpContexts?.retire();
  }
}
