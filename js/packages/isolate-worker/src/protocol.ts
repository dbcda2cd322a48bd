/** Messages of the worker protocol, version 1: numbers and the JSON inside the frames. */
import type {
  EvaluatorKind,
  FunctionKind,
  JsError,
  LogLimits,
  LogLine,
} from "../../udf-runtime/src/host_interface.ts";

export const PROTOCOL_VERSION = 1;

export const MessageType = {
  Load: 1,
  Unload: 2,
  Execute: 3,
  Results: 4,
  Cancel: 5,
  Shutdown: 6,
  WarmScript: 7,
  Ready: 65,
  Loaded: 66,
  Syscalls: 67,
  Log: 68,
  Outcome: 69,
  SyncCall: 129,
  SyncResult: 130,
  BuildSnapshot: 200,
  SnapshotBuilt: 201,
  BuildWarmScript: 202,
  WarmScriptBuilt: 203,
} as const;

/** At most this many syscalls in one SYSCALLS frame. */
export const SYSCALLS_PER_FRAME_MAX = 64;

export interface BundleHeader {
  key: string;
  modules: string[];
  env: Record<string, string>;
  importSeed: string;
  importUnixMs: number;
  heapMiB: number;
  /** What array buffers may take besides; the engine has one limit for both. */
  bufferMiB: number;
  contextsAhead: number;
  contextsPerIsolate: number;
  /** Realms of the worker that run many executions; 0 is none. */
  warmRealmsMax: number;
  /** Memory of these realms together. */
  warmRealmBytesMax: number;
  /** Executions within a minute before the bundle gets a realm; 0 makes it with the first one. */
  warmAfterExecutions: number;
  isAppBundle: boolean;
  logLimits: LogLimits;
}

/** Arguments of the realm's Configure. */
export function configuration(
  header: BundleHeader,
): [importSeed: string, importUnixMs: number, envJson: string, logLimitsJson: string] {
  const { importSeed, importUnixMs, env, logLimits } = header;
  return [importSeed, importUnixMs, JSON.stringify(env), JSON.stringify(logLimits)];
}

/** Third field of BUILD_SNAPSHOT. */
export interface BuildOptions {
  /** Whether functions are called so that the snapshot holds their compiled code. */
  isRehearsed: boolean;
}

export interface ExecuteHeader {
  bundle: number;
  kind: FunctionKind | EvaluatorKind;
  module: string;
  function: string;
  seed: string;
  unixMs: number;
  requestId: string;
  executionId: string;
  /** Time by the clock of actions, processor time of the others. */
  userTimeoutMs: number;
  /** How many times as much time by the clock a turn may take that is limited by processor time. */
  patience: number;
  /** Runs in a fresh context whatever else is allowed. */
  isFresh: boolean;
}

export type OutcomeKind =
  | "success"
  | "error"
  | "timeout"
  | "memory"
  | "neverResolves"
  | "system"
  /** Stopped by the clock before it had its processor time: the machine is overloaded. */
  | "starved"
  /** It came upon what its warm realm cannot do as a fresh one would. */
  | "again";

/** Where it ran: in a context of its own, in a warm realm, or in one that its module reuses. */
export type RealmKind = "fresh" | "warm" | "reused";

/** Why an execution was fresh though its worker may have warm realms (decision 0027). */
export interface WhyFresh {
  /**
   * The app cannot run in warm realms; this function cannot; it runs again because a realm gave it
   * up, or its worker was lost; no realm is ready.
   */
  cause: "app" | "function" | "again" | "unready";
  detail: string;
}

export interface OutcomeHeader {
  kind: OutcomeKind;
  error?: JsError;
  logLines: LogLine[];
  observedTime: boolean;
  observedRandomness: boolean;
  envRead: string[];
  consumed: [queryId: number, documents: number, sawEnd: 0 | 1][];
  userMs: number;
  heapBytes: number;
  realm: RealmKind;
  whyFresh?: WhyFresh;
  /** How many of the calls that the backend anticipated were made. */
  answeredAhead: number;
}

/** Calls that the backend expects, in the order of the EXECUTE frame: one number per turn. */
export type AheadMeta = [op: string, ok: 0 | 1, turn: number][];

/** A call that the backend expects the execution to make, with its answer. */
export interface CallAhead {
  op: string;
  argsJson: string;
  ok: boolean;
  payload: string;
}

/** `ok`: 0 an error, 1 text, 2 bytes. */
export type ResultsMeta = [syscallId: number, ok: 0 | 1 | 2][];
