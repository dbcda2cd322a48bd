/**
 * One execution from Begin to its outcome: finds the function, runs it, queues what it asks of the
 * backend (specification 1.4, 2.1, 2.3).
 */
import { CallError, describeThrown } from "./errors.ts";
import type { FunctionKind, JsError, RealmOutcome, TurnOutput } from "./host_interface.ts";
import { logSystemLine, takeImportLines } from "./console.ts";
import {
  hasStart,
  NativeError,
  NativePromise,
  parseJson,
  stringifyJson,
  thenNative,
} from "./primordials.ts";
import { QueryStreams } from "./query_streams.ts";
import { seedRandom } from "./random.ts";
import { callHost, errorFromHost, executing, realm, throwUncatchable } from "./state.ts";
import type { Execution, PendingSyscall } from "./state.ts";
import { findHttpAction } from "./http_actions.ts";
import { jsSyscall } from "./js_syscalls.ts";
import { loadModule, modulePaths } from "./modules.ts";

const UNAWAITED_HELP =
  "Async operations should be awaited or they might not run. " +
  "See https://docs.convex.dev/functions/actions#dangling-promises for more information.";

/** Operations that end by themselves, or with the client. */
const NEVER_AWAITED: ReadonlySet<string> = new Set(["sleep", "fenchel/waitDisconnect"]);

export interface BeginRequest {
  kind: FunctionKind;
  module: string;
  functionName: string;
  seedHex: string;
  unixMs: number;
  requestId: string;
  argsJson: string;
}

export function begin(request: BeginRequest): void {
  const execution = newExecution(request.kind, request.unixMs);
  realm.execution = execution;
  try {
    const invoke = findFunction(request);
    execution.phase = "execute";
    seedRandom(request.seedHex);
    const promise = invoke();
    if (!(promise instanceof NativePromise))
      throw new NativeError("Function did not return a Promise");
    thenNative(
      promise,
      (result) => settleMain(execution, String(result), undefined),
      (error: unknown) => settleMain(execution, undefined, { error }),
    );
  } catch (error) {
    execution.phase = "execute";
    settleMain(execution, undefined, { error });
  }
}

function newExecution(kind: FunctionKind, unixMs: number): Execution {
  return {
    kind: kind === "httpAction" ? "action" : kind,
    unixMs,
    phase: "import",
    nextSyscallId: 0,
    pending: new Map(),
    outbox: [],
    sleeps: [],
    streams: new QueryStreams(),
    logLines: [],
    logLineCount: 0,
    observedTime: false,
    observedRandomness: false,
    envRead: null,
    fatalError: undefined,
    isMainSettled: false,
    resultText: undefined,
    thrown: undefined,
  };
}

interface UdfExport {
  isQuery?: unknown;
  isMutation?: unknown;
  isAction?: unknown;
  invokeQuery?: (args: string) => unknown;
  invokeMutation?: (args: string) => unknown;
  invokeAction?: (requestId: string, args: string) => unknown;
}

let mayReuse = false;

/**
 * Evaluates the module and returns a thunk that invokes the function; throws the errors of 1.3 and
 * 1.4.
 */
function findFunction(request: BeginRequest): () => unknown {
  const { kind, module, functionName, argsJson, requestId } = request;
  if (kind === "httpAction") return findHttpAction(module, argsJson);
  const namespace = loadModule(module);
  takeImportLines(module);
  mayReuse = kind !== "action" && namespace["experimental_reuseContext"] === true;
  const udf = namespace[functionName] as UdfExport | null | undefined;
  if (udf === undefined || udf === null) {
    throw new CallError(
      `Couldn't find ${stringifyJson(functionName)} in module ${stringifyJson(module)}.`,
    );
  }
  checkKind(udf, kind, displayPath(module, functionName));
  if (kind === "query") return () => udf.invokeQuery?.(argsJson);
  if (kind === "mutation") return () => udf.invokeMutation?.(argsJson);
  return () => udf.invokeAction?.(requestId, argsJson);
}

function checkKind(udf: UdfExport, kind: FunctionKind, path: string): void {
  if (kind === "action") {
    if (typeof udf.invokeAction !== "function") {
      throw new CallError(
        `Function ${path} is not an action. Did you forget to wrap it with \`action\`?`,
      );
    }
    return;
  }
  const isQuery = udf.isQuery === true;
  const isMutation = udf.isMutation === true;
  if (!isQuery && !isMutation) {
    throw new CallError(
      `Function ${path} is neither a query or mutation. ` +
        "Did you forget to wrap it with `query` or `mutation`?",
    );
  }
  const actual = isQuery ? "query" : "mutation";
  if (actual !== kind) {
    throw new CallError(
      `Function ${path} is registered as a ${actual} but is being run as a ${kind}.`,
    );
  }
}

/** Kind, module and name of every query and mutation. */
export function listFunctions(): [FunctionKind, string, string][] {
  return modulePaths().flatMap((module) =>
    Object.entries(loadModule(module)).flatMap(([name, value]) => {
      const udf = value as UdfExport | null | undefined;
      const kind = udf?.isQuery === true ? "query" : udf?.isMutation === true ? "mutation" : null;
      return kind === null ? [] : [[kind, module, name] as [FunctionKind, string, string]];
    }),
  );
}

function displayPath(module: string, functionName: string): string {
  const stem = module.endsWith(".js") ? module.slice(0, -3) : module;
  return functionName === "default" ? stem : `${stem}:${functionName}`;
}

function settleMain(
  execution: Execution,
  resultText: string | undefined,
  thrown: { error: unknown } | undefined,
): void {
  if (thrown !== undefined) realm.guard?.seen(thrown.error);
  execution.isMainSettled = true;
  execution.resultText = resultText;
  execution.thrown = thrown;
}

// --- The `Convex` object ---

export function syscall(op: string, argsJson: string): string {
  const execution = executing();
  if (execution === null) throw new NativeError(importError(op));
  if (execution.kind !== "action") {
    if (op === "1.0/queryStream") return execution.streams.open(argsJson);
    if (op === "1.0/queryCleanup") return execution.streams.cleanup(argsJson);
    if (op === "1.0/getSnapshotTs") execution.observedTime = true;
  }
  return callHost(op, argsJson);
}

export function asyncSyscall(op: string, argsJson: string): Promise<string> {
  const execution = executing();
  if (execution === null) return NativePromise.reject(new NativeError(importError(op)));
  if (op === "1.0/queryStreamNext" && execution.kind !== "action") {
    return execution.streams.next(argsJson, (pageArgs) =>
      enqueue(execution, "fenchel/queryPage", pageArgs),
    );
  }
  return enqueue(execution, op, argsJson);
}

function enqueue(execution: Execution, op: string, argsJson: string): Promise<string> {
  return new NativePromise((resolve, reject) => {
    const id = execution.nextSyscallId++;
    execution.pending.set(id, { op, resolve: resolve as PendingSyscall["resolve"], reject });
    execution.outbox.push([id, op, argsJson]);
  });
}

/** An operation of the runtime itself, whose answer may be bytes. */
export function request(execution: Execution, op: string, argsJson: string): Promise<Payload> {
  return enqueue(execution, op, argsJson) as Promise<Payload>;
}

/** The same with bytes for arguments; it leaves at once, before what this turn has queued. */
export function requestWithBytes(
  execution: Execution,
  op: string,
  bytes: ArrayBuffer,
): Promise<Payload> {
  return new NativePromise((resolve, reject) => {
    const id = execution.nextSyscallId++;
    execution.pending.set(id, { op, resolve, reject });
    callHost("fenchel/sendBytes", stringifyJson([id, op]), bytes);
  });
}

/** Tells the backend something whose answer nobody waits for. */
export function post(execution: Execution, op: string, argsJson: string): void {
  execution.outbox.push([execution.nextSyscallId++, op, argsJson]);
}

/** Resolves after `delayMs`; counts as a pending operation but never as an unawaited one. */
export function sleep(execution: Execution, delayMs: number, onDue: () => void): number {
  const id = execution.nextSyscallId++;
  execution.pending.set(id, { op: "sleep", resolve: onDue, reject: onDue });
  execution.sleeps.push([id, delayMs]);
  return id;
}

const DATABASE_OPS = /^1\.0\/(get|insert|shallowMerge|replace|remove|count|query\w*|db\/\w+)$/;

function importError(op: string): string {
  if (DATABASE_OPS.test(op)) return "Can't use database at import time";
  return `Syscall ${op} unsupported at import time`;
}

export function createConvexObject(): object {
  return Object.freeze({
    syscall: (op: unknown, argsJson: unknown) => {
      const name = textArgument(op);
      if (isOwn(name)) throw new NativeError(`Unknown operation ${name}`);
      return syscall(name, textArgument(argsJson));
    },
    asyncSyscall: (op: unknown, argsJson: unknown) => {
      const name = textArgument(op);
      if (isOwn(name))
        return NativePromise.reject(new NativeError(`Unknown async operation ${name}`));
      return asyncSyscall(name, textArgument(argsJson));
    },
    jsSyscall,
  });
}

/** Operations between the runtime and its host; not for user code. */
function isOwn(op: string): boolean {
  return hasStart(op, "fenchel/");
}

function textArgument(value: unknown): string {
  if (typeof value !== "string") throwUncatchable("Syscall arguments must be strings");
  return value;
}

// --- Turns ---

/** Text, or bytes where the operation says so. */
export type Payload = string | ArrayBuffer;

export function settle(id: number, isOk: boolean, payload: Payload): void {
  const syscallAtHand = realm.execution?.pending.get(id);
  if (syscallAtHand === undefined) return;
  realm.execution?.pending.delete(id);
  if (isOk) syscallAtHand.resolve(payload);
  else syscallAtHand.reject(errorFromHost(payload as string));
}

function faultText(): string | undefined {
  const fault = realm.guard?.faultReason() ?? null;
  return fault === null ? undefined : `${stringifyJson({ fault })}\n`;
}

/** Text of what happened since the last call, "" when nothing did; see `TurnOutput`. */
export function collect(): string {
  const { execution } = realm;
  const outcome =
    execution === null || execution.phase === "done" ? undefined : outcomeOf(execution);
  // After the outcome was described: that looks at the stack of what was thrown.
  const fault = faultText();
  if (fault !== undefined) return fault;
  if (execution === null || execution.phase === "done") return "";
  const output: TurnOutput = {};
  let text = "";
  if (outcome !== undefined) {
    execution.phase = "done";
    output.outcome = outcome;
    if (outcome.kind === "success") text = execution.resultText ?? "";
  } else {
    text = drainOutbox(execution, output);
    if (execution.kind === "action" && execution.logLines.length > 0) {
      output.logLines = execution.logLines;
      execution.logLines = [];
    }
  }
  return `${stringifyJson(output)}\n${text}`;
}

function drainOutbox(execution: Execution, output: TurnOutput): string {
  let text = "";
  if (execution.outbox.length > 0) {
    output.syscalls = [];
    for (const [id, op, argsJson] of execution.outbox) {
      output.syscalls.push([id, op, argsJson.length]);
      text += argsJson;
    }
    execution.outbox = [];
  }
  if (execution.sleeps.length > 0) {
    output.sleeps = execution.sleeps;
    execution.sleeps = [];
  }
  return text;
}

/**
 * The outcome if the execution is over. Un-awaited syscalls of queries and mutations are waited
 * for.
 */
function outcomeOf(execution: Execution): RealmOutcome | undefined {
  if (execution.fatalError !== undefined) {
    return outcome(execution, "error", describeThrown(execution.fatalError));
  }
  if (execution.thrown !== undefined) {
    return outcome(execution, "error", describeThrown(execution.thrown.error));
  }
  if (execution.isMainSettled) {
    if (execution.kind === "action") warnOfUnawaited(execution);
    else if (execution.pending.size > 0) return undefined;
    return outcome(execution, "success");
  }
  return execution.pending.size === 0 ? outcome(execution, "neverResolves") : undefined;
}

/**
 * Ends the execution from outside: an unhandled rejection, or no error of its own when the worker
 * stops it.
 */
export function fail(errorJson: string): string {
  const error = errorJson === "" ? undefined : (parseJson(errorJson) as JsError);
  if (error !== undefined) realm.guard?.seenText(error.message);
  const fault = faultText();
  if (fault !== undefined) return fault;
  const { execution } = realm;
  if (execution === null) return "";
  execution.phase = "done";
  return `${stringifyJson({ outcome: outcome(execution, "error", error) })}\n`;
}

function outcome(execution: Execution, kind: RealmOutcome["kind"], error?: JsError): RealmOutcome {
  const result: RealmOutcome = {
    kind,
    logLines: execution.logLines,
    observedTime: execution.observedTime,
    observedRandomness: execution.observedRandomness,
    envRead: [...realm.importEnvRead, ...(execution.envRead ?? [])],
    consumed: execution.streams.totals(),
    mayReuse: mayReuse && kind === "success",
  };
  if (error !== undefined) result.error = error;
  return result;
}

function warnOfUnawaited(execution: Execution): void {
  const names: string[] = [];
  for (const { op } of execution.pending.values())
    if (!NEVER_AWAITED.has(op)) names.push(operationName(op));
  if (names.length === 0) return;
  const plural = names.length === 1 ? "operation" : "operations";
  logSystemLine(
    "WARN",
    `${names.length} unawaited ${plural}: [${names.join(", ")}]. ${UNAWAITED_HELP}`,
    "UnawaitedOperations",
  );
}

/** Names that differ from the operation's own (3.5). */
const OPERATION_NAMES: ReadonlyMap<string, string> = new Map([
  ["fenchel/readStream", "ReadableStream"],
  ["fenchel/writeStream", "ReadableStream"],
  ["fenchel/openFile", "ReadableStream"],
  ["fenchel/sendFile", "ReadableStream"],
  ["fenchel/storeFile", "storage.store"],
  ["fenchel/findFile", "storage.get"],
]);

/** `1.0/actions/query` -> `query`; `1.0/storageDelete` -> `storageDelete`. */
function operationName(op: string): string {
  return OPERATION_NAMES.get(op) ?? op.slice(op.lastIndexOf("/") + 1);
}
