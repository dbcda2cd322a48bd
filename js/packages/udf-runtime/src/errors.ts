/**
 * What user code sees as `error.stack` and what clients see of an uncaught error (specification
 * 5.2). Frames are captured unmapped; the worker maps them with the bundle's source map when
 * somebody looks.
 */
import type { Guard, JsError, RawFrame } from "./host_interface.ts";
import { hasPart, NativeError, parseJson, stringifyJson } from "./primordials.ts";
import { callHost, hasHost, realm } from "./state.ts";

const MESSAGE_LENGTH_MAX = 65_536;
const RUNTIME_FILE = "convex:/udf-runtime.js";
const GUARD_FILE = "convex:/udf-guard.js";
const NATIVE_FILE = "<anonymous>";
/** `replace` goes this way unless expressions are as the engine made them. */
const DETOUR = "[Symbol.";
/** Begins the names that instrumented code brings. */
const MARK = "$fenchel";
/** The engine's limit. */
const FRAMES_MAX = 10;

interface CallSite {
  getTypeName(): string | null;
  getFunctionName(): string | null;
  getMethodName(): string | null;
  getFileName(): string | null;
  getLineNumber(): number | null;
  getColumnNumber(): number | null;
  isToplevel(): boolean;
  isConstructor(): boolean;
  isAsync(): boolean;
  isPromiseAll(): boolean;
  isNative(): boolean;
  getPromiseIndex?(): number | null;
}

const framesOf = new WeakMap<object, RawFrame[]>();

/** Errors about how a function was called rather than from its code: shown without "Uncaught". */
export class CallError extends NativeError {}

export function installStackTraces(): void {
  Object.defineProperty(Error, "prepareStackTrace", {
    value: prepareStackTrace,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}

function prepareStackTrace(error: unknown, sites: CallSite[]): string {
  const frames: RawFrame[] = [];
  for (const site of sites) frames.push(rawFrame(site));
  if (realm.guard !== null) checkFrames(realm.guard, frames);
  if (typeof error === "object" && error !== null) framesOf.set(error, frames);
  const lines = mapFrames(frames).map((text) => `\n    ${text}`);
  return `${headline(error)}${lines.join("")}`;
}

/** What the engine's frames would not be in a realm whose builtins are as they were. */
function checkFrames(guard: Guard, frames: RawFrame[]): void {
  if (frames.length >= FRAMES_MAX && frames.some(([, file]) => file === GUARD_FILE)) {
    guard.fault("a stack that is cut and counts frames of the guard");
  }
  if (frames.some(([before, file]) => file === NATIVE_FILE && hasPart(before, DETOUR))) {
    guard.fault("a stack with a frame that only frozen builtins may have");
  }
  if (frames.some(([before]) => hasPart(before, MARK))) {
    guard.fault("a stack that names what the instrumenter inserted");
  }
}

function headline(error: unknown): string {
  try {
    return NativeError.prototype.toString.call(error);
  } catch (thrown) {
    realm.guard?.seen(thrown);
    return "<error>";
  }
}

function rawFrame(site: CallSite): RawFrame {
  if (site.isPromiseAll())
    return [`at async Promise.all (index ${site.getPromiseIndex?.()})`, "", 0, 0, ""];
  const name = callee(site);
  const anonymous = site.isAsync() ? "at async " : "at ";
  const [before, after] = name === "" ? [anonymous, ""] : [`at ${name} (`, ")"];
  const file = site.getFileName() ?? (site.isNative() ? "native" : NATIVE_FILE);
  return [before, file, site.getLineNumber() ?? 0, site.getColumnNumber() ?? 0, after];
}

/** The name of what was called, as V8 itself would print it. */
function callee(site: CallSite): string {
  const isAsync = site.isAsync() ? "async " : "";
  const functionName = site.getFunctionName() ?? "";
  if (site.isConstructor()) return `${isAsync}new ${functionName || "<anonymous>"}`;
  if (site.isToplevel()) return functionName === "" ? "" : isAsync + functionName;
  return isAsync + methodCallee(site, functionName);
}

function methodCallee(site: CallSite, functionName: string): string {
  const typeName = site.getTypeName();
  const methodName = site.getMethodName();
  if (functionName === "") return `${typeName ?? "Object"}.${methodName ?? "<anonymous>"}`;
  if (typeName === null || functionName.startsWith(typeName)) return functionName;
  const alias =
    methodName !== null && methodName !== functionName && !functionName.endsWith(`.${methodName}`)
      ? ` [as ${methodName}]`
      : "";
  return `${typeName}.${functionName}${alias}`;
}

/** Frame texts `at f (file:line:col)`, mapped and without frames of the runtime at either end. */
function mapFrames(frames: RawFrame[]): string[] {
  if (!hasHost()) {
    return frames
      .filter(([, file]) => file !== RUNTIME_FILE)
      .map(([before, file, line, column, after]) => `${before}${file}:${line}:${column}${after}`);
  }
  const mapped = parseJson(callHost("fenchel/mapFrames", stringifyJson(frames))) as string[] | null;
  if (mapped === null) realm.guard?.fault("a stack with a place that only instrumented code has");
  return mapped ?? [];
}

/** The thrown value as clients see it; reads `stack` first so that frames exist. */
export function describeThrown(thrown: unknown): JsError {
  if (typeof thrown !== "object" || thrown === null || !isErrorLike(thrown)) {
    return { message: cut(`Uncaught ${describePrimitive(thrown)}`), frames: [] };
  }
  const error = thrown as { name?: unknown; message?: unknown; stack?: unknown };
  void error.stack;
  const described: JsError = {
    message: cut(thrown instanceof CallError ? thrown.message : uncaughtMessage(error)),
    frames: mapFrames(framesOf.get(thrown) ?? []),
  };
  const dataJson = convexErrorData(thrown);
  if (dataJson !== undefined) described.dataJson = dataJson;
  return described;
}

function isErrorLike(thrown: object): boolean {
  return thrown instanceof NativeError || "stack" in thrown;
}

function uncaughtMessage(error: { name?: unknown; message?: unknown }): string {
  const name = textOf(error.name);
  const message = textOf(error.message);
  if (name !== "" && message !== "") return `Uncaught ${name}: ${message}`;
  const either = name + message;
  return either === "" ? "Uncaught" : `Uncaught ${either}`;
}

function textOf(value: unknown): string {
  return value === undefined || value === null ? "" : String(value);
}

function describePrimitive(thrown: unknown): string {
  try {
    return typeof thrown === "object" && thrown !== null ? "#<Object>" : String(thrown);
  } catch (another) {
    realm.guard?.seen(another);
    return "<error>";
  }
}

/** The text that convex's `invokeFunction` left in `data` of a ConvexError. */
function convexErrorData(thrown: object): string | undefined {
  const marked = thrown as { ConvexErrorSymbol?: unknown; data?: unknown };
  const symbol = marked.ConvexErrorSymbol;
  if (typeof symbol !== "symbol") return undefined;
  if ((thrown as Record<symbol, unknown>)[symbol] !== true) return undefined;
  return typeof marked.data === "string" ? marked.data : undefined;
}

function cut(message: string): string {
  return message.length > MESSAGE_LENGTH_MAX ? message.slice(0, MESSAGE_LENGTH_MAX) : message;
}
