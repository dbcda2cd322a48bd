/**
 * `AsyncLocalStorage` and `AsyncResource`. The engine tells nobody when an `await` goes on, so the
 * context follows `then`: apps that name these classes are linked with their async functions turned
 * into generators on promises, whose every step goes through it. What awaits inside the runtime
 * itself sees no context.
 */
import { NativePromise, defineProperty, reflectApply } from "../primordials.ts";
import { asyncContext } from "../state.ts";

type Stores = ReadonlyMap<AsyncLocalStorage, unknown>;
type Callback = (...args: never[]) => unknown;

const EMPTY: Stores = new Map();

function current(): Stores {
  return (asyncContext.stores as Stores | null) ?? EMPTY;
}

function runWith<T>(stores: Stores | null, run: () => T): T {
  const before = asyncContext.stores;
  asyncContext.stores = stores;
  try {
    return run();
  } finally {
    asyncContext.stores = before;
  }
}

/** The function in the context of now. */
function bind<F>(callback: F): F {
  if (typeof callback !== "function") return callback;
  const { stores } = asyncContext;
  const bound = function (this: unknown, ...args: unknown[]): unknown {
    return runWith(stores as Stores | null, () => reflectApply(callback, this, args) as unknown);
  };
  return bound as F;
}

function followThen(): void {
  const nativeThen = NativePromise.prototype.then;
  function then(this: unknown, onFulfilled: unknown, onRejected: unknown): unknown {
    return reflectApply(nativeThen, this, [bind(onFulfilled), bind(onRejected)]);
  }
  defineProperty(NativePromise.prototype, "then", {
    value: then,
    writable: true,
    configurable: true,
  });
}

export class AsyncLocalStorage {
  readonly name: string;
  readonly #defaultValue: unknown;
  #isDisabled = false;

  constructor(options: { defaultValue?: unknown; name?: string } = {}) {
    this.#defaultValue = options.defaultValue;
    this.name = options.name ?? "";
  }

  getStore(): unknown {
    const stores = current();
    return this.#isDisabled || !stores.has(this) ? this.#defaultValue : stores.get(this);
  }

  run(store: unknown, callback: Callback, ...args: unknown[]): unknown {
    this.#isDisabled = false;
    const stores = new Map(current()).set(this, store);
    return runWith(stores, () => reflectApply(callback, undefined, args) as unknown);
  }

  exit(callback: Callback, ...args: unknown[]): unknown {
    const stores = new Map(current());
    stores.delete(this);
    return runWith(stores, () => reflectApply(callback, undefined, args) as unknown);
  }

  enterWith(store: unknown): void {
    this.#isDisabled = false;
    asyncContext.stores = new Map(current()).set(this, store);
  }

  disable(): void {
    this.#isDisabled = true;
  }

  static bind<F>(callback: F): F {
    if (typeof callback !== "function") throw new TypeError("The callback is not a function");
    return bind(callback);
  }

  static snapshot(): (callback: Callback, ...args: unknown[]) => unknown {
    return bind((callback: Callback, ...args: unknown[]) => callback(...(args as never[])));
  }
}

export class AsyncResource {
  readonly type: string;
  readonly #stores = asyncContext.stores as Stores | null;

  constructor(type: unknown) {
    if (typeof type !== "string") throw new TypeError("The type is not a string");
    this.type = type;
  }

  runInAsyncScope(callback: Callback, self?: unknown, ...args: unknown[]): unknown {
    return runWith(this.#stores, () => reflectApply(callback, self, args) as unknown);
  }

  bind<F>(callback: F): F {
    return runWith(this.#stores, () => bind(callback));
  }

  emitDestroy(): this {
    return this;
  }

  asyncId(): number {
    return 0;
  }

  triggerAsyncId(): number {
    return 0;
  }

  static bind<F>(callback: F): F {
    return bind(callback);
  }
}

asyncContext.bind = bind;
followThen();
