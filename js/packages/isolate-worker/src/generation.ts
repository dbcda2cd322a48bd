/**
 * One isolate and its contexts. An isolate serves a bounded number of contexts and is then thrown
 * away: without that, garbage collection grows to several times the cost of the work (engine
 * findings).
 *
 * Invariant: every context made is in `#ready` or `#taken` until it is released; the isolate is
 * disposed once the generation is retired and both are empty.
 */
import { Command } from "../../udf-runtime/src/host_interface.ts";
import type { HostAnswer, HostFunction, VendorName } from "../../udf-runtime/src/host_interface.ts";
import { Isolate } from "./isolated_vm.ts";
import type { Script } from "./isolated_vm.ts";
import { configuration } from "./protocol.ts";
import type { BundleHeader } from "./protocol.ts";
import { IsolateLost, RealmContext } from "./realm_context.ts";
import { APP_FILE, RUNTIME_FILE, vendorSource } from "./snapshot.ts";
import type { RealmSnapshot } from "./snapshot.ts";

/** Executions that may be under way in one isolate: they share its memory limit. */
const TAKEN_MAX = 8;
const BREAK_IN_MS_MAX = 50;
const SEED = "0".repeat(64);

export interface RealmSource {
  header: BundleHeader;
  realm: RealmSnapshot;
  /** The app's script when the snapshot holds only the runtime. */
  script: string | null;
}

export class Generation {
  readonly isolate: Isolate;
  readonly #source: RealmSource;
  readonly #script: Script | null;
  readonly #vendorScripts = new Map<VendorName, Script>();
  readonly #contextsMax: number;
  #ready: RealmContext[] = [];
  readonly #taken = new Map<number, RealmContext>();
  /** Counts up; numbers the contexts. */
  #made = 0;
  #isRetired = false;

  constructor(source: RealmSource, contextsMax: number) {
    this.#source = source;
    this.#contextsMax = contextsMax;
    this.isolate = new Isolate({
      memoryLimit: source.header.heapMiB + source.header.bufferMiB,
      snapshot: source.realm.snapshot,
    });
    this.#script =
      source.script === null
        ? null
        : this.isolate.compileScriptSync(source.script, { filename: APP_FILE });
  }

  /** The script of a package, compiled once per isolate. */
  vendorScript(name: VendorName): Script {
    let script = this.#vendorScripts.get(name);
    if (script === undefined) {
      script = this.isolate.compileScriptSync(vendorSource(name), { filename: RUNTIME_FILE });
      this.#vendorScripts.set(name, script);
    }
    return script;
  }

  get readyCount(): number {
    return this.isUsable ? this.#ready.length : 0;
  }

  /** Whether executions may start here at all. */
  get isUsable(): boolean {
    return !this.#isRetired && !this.isolate.isDisposed;
  }

  /** Whether another context may be made. */
  get canMake(): boolean {
    return this.isUsable && this.#made < this.#contextsMax;
  }

  /** Whether an execution may start here. */
  get canTake(): boolean {
    return this.#taken.size < TAKEN_MAX && (this.readyCount > 0 || this.canMake);
  }

  /**
   * Calls a function that is not there, in a context that is not used again: what the engine and
   * the runtime do at the first call in an isolate is done then, and no function of the app has run.
   */
  breakIn(): void {
    const context = this.take();
    try {
      context.call(BREAK_IN_MS_MAX, Command.Begin, "query", "", "", SEED, 0, "", "[{}]");
      context.call(BREAK_IN_MS_MAX, Command.Collect);
    } catch {
      // What the modules did to builtins got in the way. The first call may go on in a new isolate.
      this.retire();
    }
    this.release(context);
  }

  /** Raises IsolateLost when what runs here has left no memory for it. */
  prepare(): void {
    this.#ready.push(this.#make());
  }

  /** Raises IsolateLost like `prepare`. */
  take(): RealmContext {
    const context = this.#ready.pop() ?? this.#make();
    this.#taken.set(context.number, context);
    return context;
  }

  release(context: RealmContext): void {
    this.#taken.delete(context.number);
    context.release();
    this.#disposeIfDone();
  }

  /** Gives up all that runs here. */
  kill(): void {
    this.#isRetired = true;
    this.#ready = [];
    if (!this.isolate.isDisposed) this.isolate.dispose();
  }

  /** No further execution starts here; those under way may end. */
  retire(): void {
    this.#isRetired = true;
    for (const context of this.#ready.splice(0)) context.release();
    this.#disposeIfDone();
  }

  #disposeIfDone(): void {
    const isUsed = !this.#isRetired && (this.#made < this.#contextsMax || this.#ready.length > 0);
    if (isUsed || this.#taken.size > 0 || this.isolate.isDisposed) return;
    this.isolate.dispose();
  }

  #make(): RealmContext {
    try {
      return this.#makeContext();
    } catch (error) {
      throw this.isolate.isDisposed ? new IsolateLost("", { cause: error }) : error;
    }
  }

  #makeContext(): RealmContext {
    this.#made += 1;
    const { realm, header } = this.#source;
    const context = new RealmContext(this, this.#made, realm.nonce, this.#onHostCall);
    if (this.#script !== null) {
      context.call(0, Command.Configure, ...configuration(header));
      this.#script.runSync(context.context);
    }
    return context;
  }

  readonly #onHostCall: HostFunction = (contextNumber, op, argsJson, ...bytes) => {
    try {
      return this.#answer(contextNumber, op, argsJson, bytes);
    } catch (error) {
      // Thrown through to the realm it would bring its stack along, which is the worker's.
      return errorAnswer(error instanceof Error ? error.message : String(error));
    }
  };

  #answer(contextNumber: number, op: string, argsJson: string, bytes: ArrayBuffer[]): HostAnswer {
    const context = this.#taken.get(contextNumber);
    if (op === "fenchel/vendor" && context !== undefined) {
      context.giveVendor(argsJson as VendorName);
      return "1";
    }
    const handler = context?.onHostCall;
    if (handler === undefined || handler === null) {
      return errorAnswer(`${op} unsupported outside of an execution`);
    }
    return handler(op, argsJson, ...bytes);
  }
}

function errorAnswer(message: string): string {
  return `0${JSON.stringify({ message })}`;
}
