/**
 * Replaces what would let code observe garbage collection, block the thread or compile text (3.1,
 * 3.3, 1.3).
 */
import { defineProperty } from "./primordials.ts";
import { executing, realm } from "./state.ts";

function canBeHeldWeakly(value: unknown): boolean {
  if (typeof value === "symbol") return Symbol.keyFor(value) === undefined;
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** Holds its target strongly: when garbage is collected must not show. */
class StrongRef<T extends WeakKey> {
  readonly #target: T;

  constructor(target: T) {
    if (!canBeHeldWeakly(target)) throw new TypeError("WeakRef: target must be an object");
    if (executing() === null) realm.guard?.fault("a WeakRef made at import");
    this.#target = target;
  }

  deref(): T {
    return this.#target;
  }

  get [Symbol.toStringTag](): string {
    return "WeakRef";
  }
}

/** Checks its arguments and never calls back. */
class SilentRegistry {
  constructor(cleanup: unknown) {
    if (typeof cleanup !== "function") {
      throw new TypeError("FinalizationRegistry: cleanup must be callable");
    }
  }

  register(target: unknown, held: unknown, token?: unknown): void {
    if (!canBeHeldWeakly(target))
      throw new TypeError("FinalizationRegistry: target must be an object");
    if (target === held)
      throw new TypeError("FinalizationRegistry: target and holdings must not be same");
    if (token !== undefined) this.#checkToken(token);
  }

  unregister(token: unknown): boolean {
    this.#checkToken(token);
    return false;
  }

  #checkToken(token: unknown): void {
    if (!canBeHeldWeakly(token)) {
      throw new TypeError("FinalizationRegistry: unregister token must be an object");
    }
  }

  get [Symbol.toStringTag](): string {
    return "FinalizationRegistry";
  }
}

function replaceGlobal(name: string, value: unknown): void {
  defineProperty(globalThis, name, {
    value,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

export function hideGarbageCollection(): void {
  defineProperty(StrongRef, "name", { value: "WeakRef" });
  defineProperty(SilentRegistry, "name", { value: "FinalizationRegistry" });
  replaceGlobal("WeakRef", StrongRef);
  replaceGlobal("FinalizationRegistry", SilentRegistry);
}

/** Waiting would block every execution of the worker. */
export function forbidBlocking(): void {
  Atomics.wait = () => {
    throw new TypeError("Atomics.wait cannot be called in this context");
  };
}

/**
 * Makes `eval` and every constructor of functions from text throw. The engine's own switch for this
 * does not reach contexts made by isolated-vm, whose callback allows it again.
 */
export function forbidCodeFromText(): void {
  const samples = [
    function () {},
    async function () {},
    function* () {},
    async function* () {},
  ] as const;
  for (const sample of samples) {
    const prototype = Object.getPrototypeOf(sample) as object & { constructor: { name: string } };
    const refusal = refusingConstructor(prototype.constructor.name, prototype);
    defineProperty(prototype, "constructor", {
      value: refusal,
      writable: true,
      configurable: true,
    });
    if (refusal.name === "Function") replaceGlobal("Function", refusal);
  }
  replaceGlobal("eval", (text: unknown) => (typeof text === "string" ? refuse() : text));
}

function refuse(): never {
  throw new EvalError("Code generation from strings disallowed for this context");
}

function refusingConstructor(name: string, prototype: object): { name: string } {
  const constructor = function () {
    refuse();
  };
  defineProperty(constructor, "name", { value: name, configurable: true });
  defineProperty(constructor, "prototype", { value: prototype, writable: false });
  return constructor;
}
