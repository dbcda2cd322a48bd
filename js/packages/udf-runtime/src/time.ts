/**
 * `Date` and `performance`: frozen in queries and mutations, real in actions (specification 3.3).
 */
import { nativeNow, NativeDate, NativeError, reflectConstruct } from "./primordials.ts";
import { callHost, executing, realm } from "./state.ts";

function now(): number {
  const execution = executing();
  if (execution === null) {
    if (realm.settings.unixMs === 0) throw new NativeError("Date unsupported at import time");
    return realm.settings.unixMs;
  }
  execution.observedTime = true;
  return execution.kind === "action" ? nativeNow() : execution.unixMs;
}

/** Replaces `Date` by one whose only difference is what "now" means. */
export function createDate(): DateConstructor {
  function Date(this: unknown, ...args: unknown[]): unknown {
    if (new.target === undefined) return new NativeDate(now()).toString();
    return reflectConstruct(NativeDate, args.length === 0 ? [now()] : args, new.target) as object;
  }
  Object.defineProperty(Date, "length", { value: 7, configurable: true });
  Object.defineProperty(Date, "prototype", { value: NativeDate.prototype, writable: false });
  const statics: [string, unknown][] = [
    ["now", () => now()],
    ["parse", NativeDate.parse],
    ["UTC", NativeDate.UTC],
  ];
  for (const [name, value] of statics) {
    Object.defineProperty(Date, name, { value, writable: true, configurable: true });
  }
  Object.defineProperty(NativeDate.prototype, "constructor", {
    value: Date,
    writable: true,
    configurable: true,
  });
  return Date as unknown as DateConstructor;
}

/** Milliseconds since the import-phase timestamp; stands still in queries; steps of 0.1 ms. */
export function performanceNow(): number {
  const execution = executing();
  if (execution === null) throw new NativeError("performance.now() unsupported at import time");
  execution.observedTime = true;
  const atStart = execution.unixMs - realm.settings.unixMs;
  if (execution.kind === "query") return atStart;
  return atStart + Math.floor(Number(callHost("fenchel/elapsedMs", "")) * 10) / 10;
}

export function timeOrigin(): number {
  return realm.settings.unixMs;
}
