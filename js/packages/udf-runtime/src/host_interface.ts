/**
 * The narrow door between a realm (one V8 context) and the worker that hosts it. Only strings,
 * numbers and copies of bytes pass. The worker calls the realm's one function with a command; the realm calls the
 * worker's one function synchronously. Both sides import these types; neither may know more about
 * the other.
 */

/** First argument of the realm function. */
export const Command = {
  /** (importSeed, importUnixMs, envJson, logLimitsJson): fixes what module evaluation observes. */
  Configure: 0,
  /** (): evaluates every module that is not a chunk. For snapshots. */
  EvaluateModules: 1,
  /** (kind, module, function, seed, unixMs, requestId, argsJson): starts an execution. */
  Begin: 3,
  /** (id, ok, text or bytes, id, ok, …): settles async syscalls in this order. */
  Settle: 4,
  /** (): what happened since the last Collect, "" when nothing did. See `TurnOutput`. */
  Collect: 5,
  /** (kind, module): runs an evaluator to its end and returns its JSON inside an outcome. */
  Evaluate: 6,
  /** (errorJson or ""): ends the execution with this error and returns its TurnOutput. */
  Fail: 7,
  /** (name, thunk): the package that the realm asked for with "fenchel/vendor". */
  ReceiveVendor: 8,
  /** ({name: thunk}): packages for realms without a worker, while a snapshot is built. */
  OfferVendors: 9,
  /** (): the last step of a snapshot; throws when what the modules did needs a worker. */
  FinishSnapshot: 10,
  /**
   * (thunk, namesJson): installs the guard of a realm that runs many executions, before the app is
   * there; the names are those of web APIs that the app uses.
   */
  InstallGuard: 11,
  /** (): freezes what import left. Returns why the realm cannot be used again, or "". */
  Seal: 12,
  /** (): loads what every HTTP action uses. For snapshots. */
  PrepareHttpActions: 13,
  /** (): JSON [[kind, module, function], …] of all queries and mutations. For snapshots. */
  ListFunctions: 14,
} as const;

/** The module whose default export routes HTTP requests. */
export const HTTP_MODULE = "http.js";

/** Web APIs that realms which run many executions can offer. */
export const SHARED_WEB_APIS = [
  "URL",
  "URLSearchParams",
  "TextEncoder",
  "TextDecoder",
  "atob",
  "btoa",
  "structuredClone",
  "DOMException",
  "crypto",
  "Crypto",
] as const;

/** Packages that realms load on demand; each is a script whose value is a thunk of its exports. */
export const VENDOR_NAMES = [
  "url",
  "idna",
  "encoding",
  "clone",
  "streams",
  "fetch",
  "subtle",
  "multibyte",
] as const;
export type VendorName = (typeof VENDOR_NAMES)[number];

/** "1" + payload or "0" + error JSON; with bytes in a list that begins with that text. */
export type HostAnswer = string | [text: string, ...bytes: ArrayBuffer[]];

/** Calls back into the worker: (contextNumber, op, argsJson, bytes…). Bytes are copied. */
export type HostFunction = (
  contextNumber: number,
  op: string,
  argsJson: string,
  ...bytes: ArrayBuffer[]
) => HostAnswer;

export type RealmFunction = (
  command: number,
  ...args: (string | number | boolean | object)[]
) => string | undefined;

/** What a realm that runs many executions asks of its guard (decision 0027). */
export interface Guard {
  /** Ends import: freezes what it left. Returns why that is not enough, or "". */
  seal: () => string;
  /** Puts back what executions may change; false when the realm may not be used again. */
  begin: () => boolean;
  /** Looks at an exception that the app's own code may not have seen; returns it. */
  seen: <T>(error: T) => T;
  /** The same for the text of one. */
  seenText: (message: string) => void;
  /** Gives the realm up: what happens from here on may differ from a fresh realm. */
  fault: (what: string) => void;
  /** Why the realm was given up, or null. */
  faultReason: () => string | null;
}

/** Answer of Begin when the realm was given up. */
export const REALM_GIVEN_UP = "given up";

export type FunctionKind = "query" | "mutation" | "action" | "httpAction";
export type EvaluatorKind = "analyze" | "schema" | "authConfig" | "appDefinition";

/** What one execution may log: lines, and UTF-8 bytes in each. */
export interface LogLimits {
  lines: number;
  lineBytes: number;
}

export interface LogLine {
  level: "DEBUG" | "ERROR" | "INFO" | "LOG" | "WARN";
  messages: string[];
  timestampMs: number;
  isTruncated: boolean;
  systemCode?: string;
}

export interface JsError {
  message: string;
  frames: string[];
  dataJson?: string;
}

/** One unmapped stack frame: text before and after the place, file, 1-based line and column. */
export type RawFrame = [prefix: string, file: string, line: number, column: number, suffix: string];

export interface RealmOutcome {
  kind: "success" | "error" | "neverResolves";
  error?: JsError;
  logLines: LogLine[];
  observedTime: boolean;
  observedRandomness: boolean;
  envRead: string[];
  /**
   * [query id, documents handed out, whether the end was seen] of every stream of the execution.
   */
  consumed: [number, number, 0 | 1][];
  /** Whether the module asks for `experimental_reuseContext`. */
  mayReuse: boolean;
}

/**
 * What a turn produced. Its text is this JSON, a newline, then the syscalls' args in order (lengths
 * in UTF-16 units are in `syscalls`), then the result of a successful outcome.
 */
export interface TurnOutput {
  /** Why the realm was given up: nothing of this execution counts. */
  fault?: string;
  syscalls?: [id: number, op: string, argsLength: number][];
  sleeps?: [id: number, delayMs: number][];
  logLines?: LogLine[];
  outcome?: RealmOutcome;
}
