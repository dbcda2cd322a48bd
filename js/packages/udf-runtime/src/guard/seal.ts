/** Freezes everything that executions can reach, and finds what cannot be frozen. */
import { calibrateProbes, findHiddenState, HIDDEN_INTRINSICS, isRegExp } from "./brands.ts";
import {
  createPinnedSet,
  defineProperty,
  enterPhase,
  fault,
  freeze,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  imported,
  isSame,
  known,
  old,
  ownKeys,
  preventExtensions,
  reflectApply,
} from "./state.ts";
import { isPutBack, softenPrototype } from "./overrides.ts";
import type { Cell, ImportedProxy, List } from "./state.ts";
import { webObjects } from "./web_apis.ts";

const { isArray } = Array;
const { toString: functionToString } = Function.prototype;
const { endsWith } = String.prototype;
const NativeError = Error;
const { hasOwn, prototype: objectPrototype } = Object;
const { prototype: errorPrototype } = Error;

/** More than this takes longer to walk than it can save. */
const OBJECTS_MAX = 200_000;

type Visit = (value: unknown) => void;

/** Calls `onObject` for each object that is reachable through properties, once. */
function walk(
  start: (visit: Visit) => void,
  onObject: (object: object, visit: Visit) => void,
): void {
  const seen = createPinnedSet();
  let left: List<object> | null = null;
  let count = 0;
  const visit: Visit = (value) => {
    if ((typeof value !== "object" || value === null) && typeof value !== "function") return;
    if (seen.has(value)) return;
    seen.add(value);
    left = { value, next: left };
    count += 1;
  };
  start(visit);
  for (;;) {
    const entry = left as List<object> | null;
    if (entry === null) return;
    if (count > OBJECTS_MAX) return fault("too many objects");
    left = entry.next;
    onObject(entry.value, visit);
  }
}

function visitProperties(object: object, visit: Visit): void {
  visit(getPrototypeOf(object));
  const keys = ownKeys(object);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as PropertyKey;
    const descriptor = getOwnPropertyDescriptor(object, key);
    if (descriptor === undefined) continue;
    visit(descriptor.value);
    visit(descriptor.get);
    visit(descriptor.set);
  }
}

function visitIntrinsics(visit: Visit): void {
  visit(globalThis);
  for (let index = 0; index < HIDDEN_INTRINSICS.length; index++) visit(HIDDEN_INTRINSICS[index]);
  for (let index = 0; index < webObjects.length; index++) visit(webObjects[index]);
}

const intrinsics = createPinnedSet();

interface Known {
  object: object;
  keys: readonly PropertyKey[];
  /** Values, or getters. */
  held: readonly unknown[];
}

let learned: List<Known> | null = null;

/** Learns what is there before the app is evaluated: none of it needs to be looked into. */
export function learnIntrinsics(): void {
  walk(visitIntrinsics, (object, visit) => {
    intrinsics.add(object);
    if (typeof object === "function") known.add(object);
    visitProperties(object, visit);
    if (webObjects.length > 0 && object !== globalThis) {
      learned = { value: describe(object), next: learned };
    }
  });
}

function describe(object: object): Known {
  const keys = ownKeys(object);
  return { object, keys, held: keys.map((key) => heldBy(object, key)) };
}

function heldBy(object: object, key: PropertyKey): unknown {
  const descriptor = getOwnPropertyDescriptor(object, key);
  return descriptor?.get ?? descriptor?.value;
}

/** Whether import has changed anything that was there before, but for global bindings. */
export function areIntrinsicsChanged(): boolean {
  for (let entry = learned; entry !== null; entry = entry.next) {
    const { object, keys, held } = entry.value;
    if (ownKeys(object).length !== keys.length) return true;
    for (let index = 0; index < keys.length; index++) {
      if (!isSame(heldBy(object, keys[index] as PropertyKey), held[index])) return true;
    }
  }
  learned = null;
  return false;
}

// --- After import ---

interface Restored {
  cell: Cell;
  value: unknown;
}

let restored: List<Restored> | null = null;

/** Puts back what executions may change. */
export function restore(): void {
  try {
    for (let entry = restored; entry !== null; entry = entry.next) {
      const { cell, value } = entry.value;
      if (!isSame(cell.get(), value)) cell.set?.(value);
    }
  } catch {
    fault("a property that is put back and was frozen");
  }
}

export function seal(): void {
  enterPhase("sealing");
  if (imported.openCount > 0) fault("an async function or generator that did not end at import");
  for (let entry = imported.bound; entry !== null; entry = entry.next) {
    if (read({ get: entry.value, set: null }) === null) fault("a constructor without its this");
  }
  const tracing = traceToSites();
  calibrateProbes();
  const proxies = createPinnedSet();
  for (let entry = imported.proxies; entry !== null; entry = entry.next) {
    proxies.add(entry.value.proxy);
    checkProxy(entry.value);
  }
  walk(visitReachable, (object, visit) => {
    old.add(object);
    if (proxies.has(object)) return;
    if (!intrinsics.has(object)) checkObject(object);
    visitProperties(object, visit);
    softenPrototype(object, intrinsics.has(object));
    // Still used to trace the probes.
    if (object !== NativeError) hold(object);
  });
  tracing.end();
  freeze(NativeError);
  rememberCells();
  enterPhase("sealed");
}

function visitReachable(visit: Visit): void {
  visitIntrinsics(visit);
  for (let entry = imported.roots; entry !== null; entry = entry.next) visit(entry.value);
  for (let entry = imported.cells; entry !== null; entry = entry.next) {
    const current = read(entry.value);
    if (current !== null) visit(current.value);
  }
}

/** Null for a binding that never got a value: its activation is over, it never will. */
function read({ get }: Cell): { value: unknown } | null {
  try {
    return { value: get() };
  } catch {
    return null;
  }
}

function rememberCells(): void {
  for (let entry = imported.cells; entry !== null; entry = entry.next) {
    const current = read(entry.value);
    if (current === null || entry.value.set === null) continue;
    restored = { value: { cell: entry.value, value: current.value }, next: restored };
  }
}

function checkObject(object: object): void {
  if (typeof object === "function") {
    if (!known.has(object) && isNative(object)) fault("a native function made at import");
  } else if (!isArray(object)) {
    const state = findHiddenState(object);
    if (state !== null) fault(`${state} made at import`);
  }
}

function isNative(object: object): boolean {
  const text = reflectApply(functionToString, object, []) as string;
  return reflectApply(endsWith, text, ["{ [native code] }"]) as boolean;
}

/** Freezes an object; the `lastIndex` of a regular expression and the like is put back instead. */
function hold(object: object): void {
  try {
    if (object === errorPrototype) holdAllBut(object, isPutBack);
    else if (typeof object === "object" && !intrinsics.has(object) && isRegExp(object)) {
      if (typeof (object as RegExp).lastIndex !== "number") fault("a lastIndex that is no number");
      holdAllBut(object, isLastIndex);
    } else freeze(object);
  } catch {
    fault("an object that cannot be frozen");
  }
}

/** Without a prototype, from which attributes could come that nobody wrote here. */
const HELD_DATA = { __proto__: null, configurable: false, writable: false } as PropertyDescriptor;
const HELD_PLACE = { __proto__: null, configurable: false } as PropertyDescriptor;

const isLastIndex = (_object: object, key: PropertyKey): boolean => key === "lastIndex";

function holdAllBut(object: object, isPutBack: (of: object, key: PropertyKey) => boolean): void {
  const keys = ownKeys(object);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as PropertyKey;
    const descriptor = getOwnPropertyDescriptor(object, key);
    if (descriptor?.writable !== true) defineProperty(object, key, HELD_PLACE);
    else if (!isPutBack(object, key)) defineProperty(object, key, HELD_DATA);
    else putBack(object as Record<PropertyKey, unknown>, key);
  }
  preventExtensions(object);
}

function putBack(object: Record<PropertyKey, unknown>, key: PropertyKey): void {
  defineProperty(object, key, HELD_PLACE);
  const cell: Cell = {
    get: () => object[key],
    set: (value) => {
      object[key] = value;
    },
  };
  imported.cells = { value: cell, next: imported.cells };
}

/** A frozen target binds what most traps may answer; without properties it binds these in nothing. */
const FREE_TRAPS = { get: 1, set: 1, has: 1 };

function checkProxy({ target, handler }: ImportedProxy): void {
  const isPlain = typeof target === "object" && !isArray(target);
  if (!isPlain || ownKeys(target).length > 0) fault("a proxy of an object with properties");
  if (getPrototypeOf(handler) !== objectPrototype) fault("a proxy whose handler inherits");
  const traps = ownKeys(handler);
  for (let index = 0; index < traps.length; index++) {
    const trap = traps[index] as string;
    if (typeof trap !== "string" || !hasOwn(FREE_TRAPS, trap)) fault("a proxy with traps");
  }
}

const { prepareStackTrace: ownPrepare } = Error as unknown as { prepareStackTrace: unknown };

/** Lets errors carry call sites for a while. */
function traceToSites(): { end: () => void } {
  const current = getOwnPropertyDescriptor(NativeError, "prepareStackTrace")?.value as unknown;
  if (current !== ownPrepare) fault("another Error.prepareStackTrace");
  const limit = getOwnPropertyDescriptor(NativeError, "stackTraceLimit")?.value as unknown;
  const set = (prepare: unknown, stackTraceLimit: unknown): void => {
    const value = (of: unknown): PropertyDescriptor =>
      ({ __proto__: null, value: of }) as PropertyDescriptor;
    defineProperty(NativeError, "prepareStackTrace", value(prepare));
    defineProperty(NativeError, "stackTraceLimit", value(stackTraceLimit));
  };
  set((_error: unknown, sites: unknown) => sites, 3);
  return { end: () => set(ownPrepare, limit) };
}
