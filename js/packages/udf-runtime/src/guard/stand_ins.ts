/**
 * Stands in for intrinsics that change hidden state, tell frozen objects from others, or fail
 * without an exception. Installed before the app is evaluated, so that it never sees the originals.
 */
import { asyncIterator } from "./brands.ts";
import {
  defineProperty,
  fault,
  getOwnPropertyDescriptor,
  imported,
  known,
  NativeTypeError,
  old,
  ownKeys,
  phase,
  reflectApply,
  root,
  standIns,
} from "./state.ts";

type Methods = Record<string, (...args: never[]) => unknown>;

/** Replaces methods, keeping names, lengths and attributes as the literal has them. */
function replace(owner: object, methods: Methods): void {
  for (const name of ownKeys(methods) as string[]) {
    const original = getOwnPropertyDescriptor(owner, name);
    if (original === undefined) continue;
    const method = methods[name] as object;
    standIns.add(method);
    defineProperty(owner, name, { ...original, value: method });
  }
}

/** Makes properties fault when they are touched. */
function forbid(owner: object, names: readonly PropertyKey[]): void {
  for (const name of names) {
    const what = `use of ${String(name)}`;
    const touch = (): void => fault(what);
    defineProperty(owner, name, { get: touch, set: touch, enumerable: false, configurable: true });
  }
}

/** Replaces methods by ones that call `before` with their first argument, then the original. */
function callBefore(owner: object, names: readonly string[], before: Before): void {
  for (const name of names) {
    const original = getOwnPropertyDescriptor(owner, name)?.value as (() => unknown) | undefined;
    if (original === undefined) continue;
    const stand = {
      [name](this: unknown) {
        before(name, arguments[0]);
        return reflectApply(original, this, arguments);
      },
    };
    defineProperty(stand[name] as object, "length", { value: original.length, configurable: true });
    replace(owner, stand as Methods);
  }
}

type Before = (name: string, first: unknown) => void;

const faultAlways = (owner: object, names: readonly string[]): void =>
  callBefore(owner, names, (name) => fault(`use of ${name}`));

const faultAtImport = (owner: object, names: readonly string[]): void =>
  callBefore(owner, names, (name) => {
    if (phase === "import") fault(`${name} at import`);
  });

// --- Hidden contents ---

function write(target: unknown, key?: unknown, value?: unknown): void {
  if (phase !== "import") {
    if (old.has(target as object)) fault("a write to a collection made at import");
    return;
  }
  root(key);
  root(value);
}

function guardCollections(): void {
  for (const owner of [Map.prototype, WeakMap.prototype]) {
    const { set, delete: remove } = owner;
    replace(owner, {
      set(this: unknown, key: unknown, value: unknown) {
        write(this, key, value);
        return reflectApply(set, this, [key, value]);
      },
      delete(this: unknown, key: unknown) {
        write(this);
        return reflectApply(remove, this, [key]);
      },
    });
  }
  for (const owner of [Set.prototype, WeakSet.prototype]) {
    const { add, delete: remove } = owner;
    replace(owner, {
      add(this: unknown, value: unknown) {
        write(this, value);
        return reflectApply(add, this, [value]);
      },
      delete(this: unknown, value: unknown) {
        write(this);
        return reflectApply(remove, this, [value]);
      },
    });
  }
  for (const owner of [Map.prototype, Set.prototype]) {
    const { clear } = owner;
    replace(owner, {
      clear(this: unknown) {
        write(this);
        return reflectApply(clear, this, []);
      },
    });
  }
  // These fill new collections without calling `set` or `add`.
  faultAtImport(Map, ["groupBy"]);
  faultAtImport(Set.prototype, ["union", "symmetricDifference"]);
}

function guardFunctions(): void {
  const { bind, toString } = Function.prototype;
  replace(Function.prototype, {
    bind(this: (...args: unknown[]) => unknown, _self: unknown) {
      const bound = reflectApply(bind, this, arguments) as object;
      if (phase !== "import") return bound;
      root(this);
      for (let index = 0; index < arguments.length; index++) root(arguments[index] as unknown);
      known.add(bound);
      return bound;
    },
    toString(this: unknown) {
      const text = reflectApply(toString, this, []) as string;
      if (standIns.has(this as object) || isInstrumented(text)) fault("the text of a function");
      return text;
    },
  });
}

const { includes } = String.prototype;

function isInstrumented(text: string): boolean {
  return reflectApply(includes, text, ["$fenchel"]) as boolean;
}

function guardProxies(): void {
  const NativeProxy = Proxy;
  const { revocable } = Proxy;
  const construct = function (target: object, handler: ProxyHandler<object>): object {
    if (new.target === undefined) throw new NativeTypeError("Constructor Proxy requires 'new'");
    const proxy = new NativeProxy(target, handler);
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
    revocable(target: object, _handler: unknown) {
      if (phase === "import" || old.has(target)) fault("Proxy.revocable");
      return reflectApply(revocable, undefined, arguments);
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
  for (const name of ["set", "defineProperty", "deleteProperty", "setPrototypeOf"] as const) {
    const original = Reflect[name] as (...args: unknown[]) => boolean;
    const stand = {
      [name](_target: unknown) {
        const isDone = reflectApply(original, undefined, arguments) as boolean;
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
    parse(text: string, reviver: never) {
      // What a reviver puts into its holder is walked and written to without an exception.
      if (reviver !== undefined && phase === "sealed") fault("JSON.parse with a reviver");
      return parse(text, reviver);
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
  faultAtImport(String.prototype, ["matchAll"]);
}

/** Web APIs bring packages with state of their own. */
function forbidLazyGlobals(): void {
  for (const name of ownKeys(globalThis)) {
    if (getOwnPropertyDescriptor(globalThis, name)?.get !== undefined) forbid(globalThis, [name]);
  }
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
  forbidLazyGlobals();
  // Last: the functions above are bound and looked at with the originals.
  guardFunctions();
}
