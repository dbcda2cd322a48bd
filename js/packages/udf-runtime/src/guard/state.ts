/**
 * What the guard knows. User code may have patched any intrinsic while the app was imported, so
 * everything here works with functions taken before that, and keeps lists that no prototype can
 * reach into.
 */

export const { apply: reflectApply, construct: reflectConstruct, ownKeys } = Reflect;
export const { freeze, getPrototypeOf, defineProperty, getOwnPropertyDescriptor } = Object;
export const { is: isSame, isExtensible, preventExtensions } = Object;
export const NativeTypeError = TypeError;

/** A list whose first entry is the last one added. */
export interface List<T> {
  value: T;
  next: List<T> | null;
}

/** A WeakSet that does not look at WeakSet.prototype. */
export type PinnedSet = Pick<WeakSet<WeakKey>, "has" | "add">;

const NativeWeakSet = WeakSet;
const { has, add } = WeakSet.prototype;
const pin = (value: unknown): PropertyDescriptor =>
  ({ __proto__: null, value }) as PropertyDescriptor;

export function createPinnedSet(): PinnedSet {
  const set = new NativeWeakSet<WeakKey>();
  defineProperty(set, "has", pin(has));
  defineProperty(set, "add", pin(add));
  return set;
}

/**
 * Life: "import" while the app is evaluated; "sealing" while everything that it left is frozen;
 * then "sealed" for good.
 */
export let phase: "import" | "sealing" | "sealed" = "import";

export function enterPhase(next: "sealing" | "sealed"): void {
  phase = next;
}

/** Objects that were there before the first execution. */
export const old = createPinnedSet();
/** Native functions without state of their own. */
export const known = createPinnedSet();
/** All proxies that the app has made. */
export const proxies = createPinnedSet();
/** Functions of the guard that stand for native ones. */
export const standIns = createPinnedSet();

export interface ImportedProxy {
  proxy: object;
  target: object;
  handler: object;
}

/** A binding or property that is put back before each execution. */
export interface Cell {
  get: () => unknown;
  set: ((value: unknown) => void) | null;
}

export const imported: {
  /** Values in places that no property leads to. */
  roots: List<unknown> | null;
  cells: List<Cell> | null;
  /** Each gives the `this` that arrow functions hold; throws while a constructor has none. */
  bound: List<() => unknown> | null;
  proxies: List<ImportedProxy> | null;
  /** Async functions and generators that have begun and not ended. */
  openCount: number;
} = { roots: null, cells: null, bound: null, proxies: null, openCount: 0 };

let firstFault: string | null = null;

/** Set while the runtime evaluates packages of its own, which may look at anything. */
export let isTrusted = false;

export function trust<T>(run: () => T): T {
  isTrusted = true;
  try {
    return run();
  } finally {
    isTrusted = false;
  }
}

/** The realm cannot vouch for itself any more; nothing runs in it again. */
export function fault(what: string): void {
  if (!isTrusted) firstFault ??= what;
}

export function faultReason(): string | null {
  return firstFault;
}

/** Remembers a value that import stores where it cannot be found later. */
export function root<T>(value: T): T {
  if (phase === "import") imported.roots = { value, next: imported.roots };
  return value;
}
