/**
 * `Date` and `performance`: frozen in queries and mutations, real in actions (specification 3.3).
 */
import {
  defineProperty,
  getOwnPropertyDescriptor,
  nativeNow,
  NativeDate,
  NativeError,
  reflectApply,
  reflectConstruct,
} from "./primordials.ts";
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

type Format = Intl.DateTimeFormat["format"];

/** Formatters that stand in for the engine's own, which read the clock when they get no date. */
let formats: WeakMap<Format, Format> | null = null;

function formatOf(native: Format): Format {
  formats ??= new WeakMap();
  let format = formats.get(native);
  if (format === undefined) {
    format = (date) => native(date === undefined ? now() : date);
    defineProperty(format, "name", { value: "", configurable: true });
    formats.set(native, format);
  }
  return format;
}

/** Makes `Intl.DateTimeFormat` take the realm's "now" for a date that is left out. */
export function replaceDateFormats(): void {
  const { prototype } = Intl.DateTimeFormat;
  const nativeFormat = getOwnPropertyDescriptor(prototype, "format")?.get as () => Format;
  const { formatToParts: nativeParts } = prototype;
  const replacements = {
    get format(): Format {
      return formatOf(reflectApply(nativeFormat, this, []));
    },
    formatToParts(date?: Date | number): Intl.DateTimeFormatPart[] {
      return reflectApply(nativeParts, this, [date === undefined ? now() : date]);
    },
  };
  for (const name of ["format", "formatToParts"] as const) {
    const replacement = getOwnPropertyDescriptor(replacements, name) as PropertyDescriptor;
    defineProperty(prototype, name, { ...replacement, enumerable: false });
  }
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
