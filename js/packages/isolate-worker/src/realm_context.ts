/**
 * One V8 context with the runtime in it, ready for an execution. The only caller of the realm
 * function.
 */
import { Command } from "../../udf-runtime/src/host_interface.ts";
import type {
  HostAnswer,
  HostFunction,
  RealmFunction,
  VendorName,
} from "../../udf-runtime/src/host_interface.ts";
import type { Generation } from "./generation.ts";
import type { Context, Reference } from "./isolated_vm.ts";

export type CallArgument = string | number | boolean | ArrayBuffer;

/**
 * Answers synchronous calls of the realm; the answer begins with "1" (result) or "0" (error JSON).
 */
export type HostCallHandler = (op: string, argsJson: string, ...bytes: ArrayBuffer[]) => HostAnswer;

/**
 * Time limits end on multiples of this. The engine's timer thread wakes up for every limit, even of
 * calls that ended long ago (10 to 20 µs each), but only once for all that are due.
 */
const LIMIT_GRID_MS = 64;

/** The user's code ran longer than it may. */
export class TurnTimeout extends Error {}

/** The isolate is gone; nothing in it can run again. */
export class IsolateLost extends Error {}

function isBytes(argument: CallArgument): boolean {
  return typeof argument === "object";
}

function gridEnd(timeMs: number): number {
  return Math.ceil(timeMs / LIMIT_GRID_MS) * LIMIT_GRID_MS;
}

export class RealmContext {
  readonly generation: Generation;
  readonly number: number;
  /** Set while an execution owns the context. */
  onHostCall: HostCallHandler | null = null;
  readonly #context: Context;
  readonly #realm: Reference<RealmFunction>;

  constructor(generation: Generation, number: number, nonce: string, host: HostFunction) {
    this.generation = generation;
    this.number = number;
    this.#context = generation.isolate.createContextSync();
    const claim = this.#context.global.getSync("__fenchelClaim", { reference: true });
    this.#realm = claim.applySync(undefined, [nonce, number, host], {
      result: { reference: true },
    }) as Reference<RealmFunction>;
    claim.release();
  }

  /** The engine's context, to run the app's script in. */
  get context(): Context {
    return this.#context;
  }

  /**
   * Runs a command and the microtasks that follow, for `timeoutMs` at least and at most
   * LIMIT_GRID_MS longer; 0 is for ever. Raises TurnTimeout, IsolateLost, or a copy of the error
   * with which a promise was rejected that nobody handles.
   */
  call(timeoutMs: number, command: number, ...args: CallArgument[]): string | undefined {
    const { isolate } = this.generation;
    if (isolate.isDisposed) throw new IsolateLost();
    const start = performance.now();
    const limit = timeoutMs === 0 ? 0 : Math.ceil(gridEnd(start + timeoutMs) - start);
    try {
      return this.#realm.applySync(undefined, [command, ...(args as unknown[])] as never, {
        ...(args.some(isBytes) ? { arguments: { copy: true } } : {}),
        timeout: limit,
      }) as string | undefined;
    } catch (error) {
      if (isolate.isDisposed) throw new IsolateLost("", { cause: error });
      const isTimeout = error instanceof Error && error.message === "Script execution timed out.";
      if (isTimeout && performance.now() - start >= timeoutMs)
        throw new TurnTimeout("", { cause: error });
      throw error;
    }
  }

  /** Evaluates a script whose value is a thunk and hands that to the realm. */
  giveVendor(name: VendorName): void {
    const thunk = this.generation.vendorScript(name).runSync(this.#context, { reference: true });
    this.#realm.applySync(undefined, [
      Command.ReceiveVendor,
      name,
      thunk.derefInto({ release: true }),
    ]);
  }

  /** Installs the guard that the script's value is a thunk of; `webApis` are names. */
  installGuard(code: string, filename: string, webApis: readonly string[]): void {
    const script = this.generation.isolate.compileScriptSync(code, { filename });
    const thunk = script.runSync(this.#context, { reference: true });
    script.release();
    this.#realm.applySync(undefined, [
      Command.InstallGuard,
      thunk.derefInto({ release: true }),
      JSON.stringify(webApis),
    ]);
  }

  /** Runs a script of the app. Raises what it throws. */
  run(code: string, filename: string, timeoutMs: number): void {
    const script = this.generation.isolate.compileScriptSync(code, { filename });
    script.runSync(this.#context, { timeout: timeoutMs });
    script.release();
  }

  release(): void {
    this.onHostCall = null;
    if (this.generation.isolate.isDisposed) return;
    this.#realm.release();
    this.#context.release();
  }
}
