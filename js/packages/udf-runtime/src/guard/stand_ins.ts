/**
 * Stands in for intrinsics that change hidden state, tell frozen objects from others, or fail
 * without an exception. Installed before the app is evaluated, so that it never sees the originals.
 */
import { asyncIterator } from "./brands.ts";
import { guardCollections } from "./collections.ts";
import { lookAtExceptions, seen } from "./exceptions.ts";
import { callBefore, faultAlways, faultAtImport, forbid, replace } from "./replacements.ts";
import type { Before, Methods } from "./replacements.ts";
import {
  defineProperty,
  fault,
  getOwnPropertyDescriptor,
  imported,
  isTrusted,
  known,
  NativeTypeError,
  old,
  ownKeys,
  phase,
  proxies,
  reflectApply,
  root,
  standIns,
} from "./state.ts";

// --- Functions ---

function guardFunctions(): void {
  const { bind, toString } = Function.prototype;
  replace(Function.prototype, {
    bind(this: (...args: unknown[]) => unknown, _self: unknown) {
      const target = isNativeMethod(this) ? lookAtExceptions(this) : this;
      const bound = reflectApply(bind, target, arguments) as object;
      if (phase !== "import") return bound;
      root(this);
      for (let index = 0; index < arguments.length; index++) root(arguments[index] as unknown);
      known.add(bound);
      return bound;
    },
    toString(this: unknown) {
      if (isTrusted && standIns.has(this as object)) return NATIVE_TEXT;
      const text = reflectApply(toString, this, []) as string;
      if (standIns.has(this as object) || isInstrumented(text)) fault("the text of a function");
      return text;
    },
  });
}

const { hasOwn } = Object;
const { toString: functionToString } = Function.prototype;
const { endsWith, includes } = String.prototype;
const NATIVE_TEXT = "function () { [native code] }";

/** No constructors, which write to nothing but what they make, and no proxies. */
function isNativeMethod(value: unknown): boolean {
  if (typeof value !== "function" || proxies.has(value) || hasOwn(value, "prototype")) return false;
  const text = reflectApply(functionToString, value, []) as string;
  return standIns.has(value) || (reflectApply(endsWith, text, ["{ [native code] }"]) as boolean);
}

/**
 * A handler of rejections sees errors that were never thrown through a function of the app: the
 * engine itself calls reactions, thenables and executors.
 */
function guardReactions(): void {
  const { then } = Promise.prototype;
  replace(Promise.prototype, {
    then(this: Promise<unknown>, onFulfilled: unknown, onRejected: unknown) {
      if (phase !== "sealed" || typeof onRejected !== "function") {
        return reflectApply(then, this, [onFulfilled, onRejected]) as unknown;
      }
      const handler = onRejected as (error: unknown) => unknown;
      return reflectApply(then, this, [onFulfilled, (error: unknown) => handler(seen(error))]);
    },
  });
}

/**
 * A promise that the engine rejects by itself, and that the end of an iteration forgets: nothing of
 * the app sees why.
 */
function guardRejections(): void {
  type Callback = (...args: unknown[]) => unknown;
  const { try: attempt } = Promise as unknown as { try: Callback };
  replace(Promise, {
    try(this: unknown, callback: unknown) {
      if (phase === "sealed" && isNativeMethod(callback)) {
        arguments[0] = lookAtExceptions(callback as Callback);
      }
      return reflectApply(attempt, this, arguments);
    },
  });
  callBefore(Promise, ["any"], (name) => {
    // Its handlers, of which one looks at exceptions, are how the engine finds it in a stack.
    if (phase === "sealed") fault(`use of Promise.${name}`);
  });
  callBefore(Array, ["fromAsync"], (name, _source, receiver) => {
    if (phase === "sealed" && receiver !== NativeArray) fault(`${name} of another constructor`);
  });
}

const NativeArray = Array;

function isInstrumented(text: string): boolean {
  return reflectApply(includes, text, ["$fenchel"]) as boolean;
}

function guardProxies(): void {
  const NativeProxy = Proxy;
  const { revocable } = Proxy;
  const construct = function (target: object, handler: ProxyHandler<object>): object {
    if (new.target === undefined) throw new NativeTypeError("Constructor Proxy requires 'new'");
    const proxy = new NativeProxy(target, handler);
    proxies.add(proxy);
    if (phase === "import") {
      root(target);
      root(handler);
      imported.proxies = { value: { proxy, target, handler }, next: imported.proxies };
    } else if (old.has(target)) fault("a proxy of an object made at import");
    return proxy;
  };
  // Bound, because Proxy has no property `prototype`.
  const stand = reflectApply(Function.prototype.bind, construct, [undefined]) as object;
  defineProperty(stand, "name", { value: "Proxy", configurable: true });
  standIns.add(stand);
  defineProperty(stand, "revocable", {
    value: revocable,
    writable: true,
    enumerable: false,
    configurable: true,
  });
  replace(stand, {
    revocable(this: unknown, target: object, _handler: unknown) {
      if (phase === "import" || old.has(target)) fault("Proxy.revocable");
      return reflectApply(revocable, this, arguments);
    },
  });
  replace(globalThis, { Proxy: stand as () => unknown });
}

// --- What shows that objects are frozen ---

function guardObservers(): void {
  const observe: Before = (name, object) => {
    if (phase === "sealed" && old.has(object as object)) fault(`${name} of what import made`);
  };
  const names = ["isExtensible", "getOwnPropertyDescriptor"];
  callBefore(Object, [...names, "isFrozen", "isSealed", "getOwnPropertyDescriptors"], observe);
  callBefore(Reflect, names, observe);
  for (const name of ["__lookupGetter__", "__lookupSetter__"]) {
    const original = getOwnPropertyDescriptor(Object.prototype, name)?.value as () => unknown;
    const stand = {
      [name](this: unknown, _key: unknown) {
        if (phase === "sealed") fault(`use of ${name}`);
        return reflectApply(original, this, arguments);
      },
    };
    replace(Object.prototype, stand as Methods);
  }
  for (const name of ["set", "defineProperty", "deleteProperty", "setPrototypeOf"] as const) {
    const original = Reflect[name] as (...args: unknown[]) => boolean;
    const stand = {
      [name](this: unknown, _target: unknown) {
        const isDone = reflectApply(original, this, arguments) as boolean;
        if (!isDone && phase === "sealed") fault(`Reflect.${name} without effect`);
        return isDone;
      },
    };
    const { length } = original;
    defineProperty(stand[name] as object, "length", { value: length, configurable: true });
    replace(Reflect, stand as Methods);
  }
  const { parse } = JSON;
  replace(JSON, {
    parse(this: unknown, _text: string, reviver: never) {
      // What a reviver puts into its holder is walked and written to without an exception.
      if (reviver !== undefined && phase === "sealed") fault("JSON.parse with a reviver");
      // With the same receiver, which the engine shows in the stack of an error.
      return reflectApply(parse, this, arguments) as unknown;
    },
  });
}

// --- State of the engine, and what may act later ---

const REGEXP_STATICS = [
  ..."123456789".split("").map((digit) => `$${digit}`),
  ...["input", "$_", "lastMatch", "$&", "lastParen", "$+", "leftContext", "$`"],
  ...["rightContext", "$'"],
];

function guardEngineState(): void {
  forbid(RegExp, REGEXP_STATICS);
  const { compile } = RegExp.prototype;
  replace(RegExp.prototype, {
    compile(this: RegExp, _pattern: unknown, _flags: unknown) {
      if (phase === "import" || old.has(this)) fault("RegExp.prototype.compile");
      return reflectApply(compile, this, arguments);
    },
  });
  const { WebAssembly } = globalThis as unknown as { WebAssembly: object };
  forbid(WebAssembly, ownKeys(WebAssembly));
  faultAlways(Atomics, ["waitAsync"]);
  faultAlways(console, ["time", "timeLog", "timeEnd"]);
  // Iterators that call user code and are hard to tell from other objects.
  const helpers = ["map", "filter", "take", "drop", "flatMap"];
  faultAtImport(Iterator.prototype, helpers);
  faultAtImport(Iterator, ["from", "concat"]);
  faultAtImport(RegExp.prototype, [Symbol.matchAll]);
}

/**
 * What the engine adds to contexts when they are made from a snapshot: the import of fresh
 * contexts, which ran while the snapshot was built, did not see it.
 */
const ADDED_LATER: readonly (readonly [owner: object, names: readonly PropertyKey[]])[] = [
  [globalThis, ["SuppressedError", "DisposableStack", "AsyncDisposableStack", "Float16Array"]],
  [globalThis, ["SharedArrayBuffer", "WebAssembly"]],
  [Promise, ["try"]],
  [RegExp, ["escape"]],
  [Error, ["isError", "stackTraceLimit"]],
  [Math, ["f16round"]],
  [Atomics, ["pause"]],
  [Iterator.prototype, [Symbol.dispose]],
  [asyncIterator, [Symbol.asyncDispose]],
  [DataView.prototype, ["getFloat16", "setFloat16"]],
];

/** Returns what to call once the app is evaluated. */
export function takeAway(): () => void {
  const restores: (() => void)[] = [];
  for (const [owner, names] of ADDED_LATER) {
    for (const name of names) {
      const original = getOwnPropertyDescriptor(owner, name);
      if (original === undefined) continue;
      delete (owner as Record<PropertyKey, unknown>)[name];
      restores.push(() => giveBack(owner, name, original));
    }
  }
  return () => {
    for (let index = 0; index < restores.length; index++) restores[index]?.();
  };
}

function giveBack(owner: object, name: PropertyKey, original: PropertyDescriptor): void {
  // A polyfill, which fresh contexts would have under this name.
  if (getOwnPropertyDescriptor(owner, name) !== undefined)
    fault(`${String(name)} defined at import`);
  else defineProperty(owner, name, original);
}

export function installStandIns(): void {
  guardCollections();
  guardProxies();
  guardObservers();
  guardEngineState();
  guardReactions();
  guardRejections();
  // Last: the functions above are bound and looked at with the originals.
  guardFunctions();
}
