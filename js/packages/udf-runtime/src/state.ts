/**
 * The state of the realm: what the import phase is fixed to, the host connection, and the one
 * execution. A realm runs at most one execution at a time; a reused realm gets a new `Execution`
 * each time.
 */
import type { FunctionKind, Guard, HostFunction, LogLimits, LogLine } from "./host_interface.ts";
import type { QueryStreams } from "./query_streams.ts";
import { NativeError, parseJson } from "./primordials.ts";

export interface PendingSyscall {
  op: string;
  resolve: (result: string | ArrayBuffer) => void;
  reject: (error: unknown) => void;
}

export interface Execution {
  /** HTTP actions may do what actions may. */
  readonly kind: Exclude<FunctionKind, "httpAction">;
  readonly unixMs: number;
  /**
   * Import phase while the module is being evaluated; then the execution phase until the outcome.
   */
  phase: "import" | "execute" | "done";
  nextSyscallId: number;
  readonly pending: Map<number, PendingSyscall>;
  /** Syscalls and sleeps that the worker has not collected yet. */
  outbox: [id: number, op: string, argsJson: string][];
  sleeps: [id: number, delayMs: number][];
  readonly streams: QueryStreams;
  logLines: LogLine[];
  logLineCount: number;
  observedTime: boolean;
  observedRandomness: boolean;
  envRead: Set<string> | null;
  /**
   * Set by errors that user code may not catch; wins over whatever the function does afterwards.
   */
  fatalError: unknown;
  isMainSettled: boolean;
  /** Valid once `isMainSettled`: the result text, or the thrown value. */
  resultText: string | undefined;
  thrown: { error: unknown } | undefined;
}

interface ImportSettings {
  seedHex: string;
  unixMs: number;
  env: Readonly<Record<string, string>>;
  logLimits: LogLimits;
}

export const realm: {
  settings: ImportSettings;
  execution: Execution | null;
  /**
   * Names of environment variables that module evaluation read; every execution depends on them.
   */
  importEnvRead: Set<string>;
  /** Set in realms that run many executions. */
  guard: Guard | null;
} = {
  settings: { seedHex: "", unixMs: 0, env: {}, logLimits: { lines: 0, lineBytes: 0 } },
  execution: null,
  importEnvRead: new Set(),
  guard: null,
};

let host: HostFunction | null = null;
let contextNumber = 0;

/**
 * The stores of AsyncLocalStorage at this moment, and what carries them over; `bind` is null until
 * somebody touches those classes. Between reactions there are no stores.
 */
export const asyncContext: {
  stores: object | null;
  bind: (<F>(callback: F) => F) | null;
} = { stores: null, bind: null };

/** Whether a module asked for the worker while a snapshot was built: with one it may do better. */
let wasHostMissed = false;

export function checkHostNotMissed(): void {
  if (wasHostMissed) throw new NativeError("A module needs the worker while it is imported");
}

export function attachHost(number: number, hostFunction: HostFunction): void {
  contextNumber = number;
  host = hostFunction;
}

export function hasHost(): boolean {
  return host !== null;
}

/**
 * Calls the worker and waits. Throws an Error of this realm, with `data` when the host sent some.
 */
export function callHost(op: string, argsJson: string, ...bytes: ArrayBuffer[]): string {
  return callHostForBytes(op, argsJson, ...bytes).text;
}

/** The same for operations that answer with bytes as well. */
export function callHostForBytes(
  op: string,
  argsJson: string,
  ...bytes: ArrayBuffer[]
): { text: string; bytes: ArrayBuffer[] } {
  if (host === null) {
    wasHostMissed = true;
    throw new NativeError(`${op} unsupported at import time`);
  }
  const answer = host(contextNumber, op, argsJson, ...bytes);
  const [text, ...answered] = typeof answer === "string" ? [answer] : answer;
  if (text[0] === "1") return { text: text.slice(1), bytes: answered };
  throw errorFromHost(text.slice(1));
}

/** The realm's own Error for the JSON `{message, data?}` that the backend sent. */
export function errorFromHost(errorJson: string): Error {
  const { message, data } = parseJson(errorJson) as { message: string; data?: unknown };
  const error = new NativeError(message) as Error & { data?: unknown };
  if (data !== undefined) error.data = data;
  return error;
}

/** The running execution in its execution phase, or null during import. */
export function executing(): Execution | null {
  const { execution } = realm;
  if (execution === null || execution.phase !== "import") return execution;
  // A getter of the function's export: what it does to import's state would stay.
  realm.guard?.fault("import while the function is looked up");
  return null;
}

export function isAction(): boolean {
  return realm.execution?.kind === "action";
}

/** Throws the specified error when `what` needs an action, or any execution at all (3.2, 3.4). */
export function requireAction(what: string): Execution {
  const execution = executing();
  if (execution === null) throw new NativeError(`${what} unsupported at import time`);
  if (execution.kind !== "action") {
    throw new NativeError(
      `Can't use ${what} in queries and mutations. Please consider using an action. ` +
        "See https://docs.convex.dev/functions/actions for more details.",
    );
  }
  return execution;
}

/** Ends the function with this error even if user code catches what is thrown here (3.4). */
export function throwUncatchable(message: string): never {
  const error = new NativeError(message);
  const execution = executing();
  if (execution !== null) execution.fatalError ??= error;
  throw error;
}
