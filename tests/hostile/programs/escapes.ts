/** Ways out of the realm: through constructors, errors, proxies, species, host functions. */
import {
  acting,
  attempt,
  attemptAsync,
  convex,
  global,
  leak,
  program,
} from "./hostile";

const AsyncFunction = (async () => {}).constructor as any;
const GeneratorFunction = function* () {}.constructor as any;
const AsyncGeneratorFunction = async function* () {}.constructor as any;

// Code from strings.
export const evalDirect = program(() => attempt(() => eval("this.process")));
export const evalIndirect = program(() => attempt(() => (0, eval)("process")));
export const functionConstructor = program(() =>
  attempt(() => new Function("return process")()),
);
export const asyncFunctionConstructor = program(() =>
  attemptAsync(() => AsyncFunction("return process")()),
);
export const generatorConstructor = program(() =>
  attempt(() => GeneratorFunction("yield process")().next().value),
);
export const asyncGeneratorConstructor = program(() =>
  attemptAsync(
    async () => (await AsyncGeneratorFunction("yield process")().next()).value,
  ),
);
export const reflectConstructFunction = program(() =>
  attempt(() => Reflect.construct(Function, ["return process"], class {})()),
);
export const boundFunctionConstructor = program(() =>
  attempt(() => Function.bind(null, "return process")()()),
);
export const timeoutWithText = acting(() =>
  attemptAsync(
    () =>
      new Promise((done) =>
        (setTimeout as any)("done(process)", 1, done(null)),
      ),
  ),
);
export const constructorOfSyscall = program(() =>
  attempt(() => convex.syscall.constructor("return process")()),
);
export const constructorOfAsyncSyscall = program(() =>
  attempt(() => convex.asyncSyscall.constructor("return process")()),
);
export const constructorOfJsSyscall = program(() =>
  attempt(() => convex.jsSyscall.constructor.constructor("return process")()),
);
export const constructorOfConsole = program(() =>
  attempt(() => console.log.constructor("return process")()),
);
export const constructorOfContext = program((ctx) =>
  attempt(() => ctx.constructor.constructor("return process")()),
);
export const constructorOfDatabase = program((ctx) =>
  attempt(() => ctx.db.get.constructor("return process")()),
);
export const constructorOfIterator = program((ctx) =>
  attempt(() =>
    ctx.db
      .query("t")
      [Symbol.asyncIterator]()
      .next.constructor("return process")(),
  ),
);

// Foreign objects in what the host gives.
export const everyGlobal = program(() => {
  const found: string[] = [];
  for (const key of Reflect.ownKeys(globalThis)) {
    const value = attemptRead(() => global[key]);
    const kind = leak(value);
    if (kind !== null) found.push(`${String(key)}: ${kind}`);
  }
  return found.length === 0 ? "nothing" : found.join();
});
function attemptRead(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return error;
  }
}
export const everyConvexMember = program(() => {
  const found = Reflect.ownKeys(convex)
    .map((key) => leak(convex[key]))
    .filter((kind) => kind !== null);
  return found.length === 0 ? "nothing" : found.join();
});
export const hostNames = program(() => {
  const names = [
    "process",
    "require",
    "module",
    "exports",
    "Buffer",
    "ivm",
    "isolate",
    "global",
  ];
  const found = names.filter(
    (name) => name in globalThis && typeof global[name] !== "undefined",
  );
  return (
    found
      .filter((name) => global[name] !== globalThis && name !== "process")
      .join() || "nothing"
  );
});
export const processIsOnlyEnvironment = program(() => {
  const keys = Reflect.ownKeys(global.process ?? {});
  return keys.every((key) => key === "env")
    ? "nothing"
    : keys.map(String).join();
});
export const fenchelNames = program(() => {
  const names = Reflect.ownKeys(globalThis).map(String);
  const claims = names.filter((name) => /claim|host|ivm|isolate/i.test(name));
  for (const name of claims) {
    const kind = leak(attemptRead(() => global[name]("guess", 1, () => "1")));
    if (kind !== null) return kind;
  }
  return "nothing";
});
export const errorOfSyncCall = program(() =>
  attempt(() => convex.syscall("nonsense", "{}")),
);
export const errorOfBadSyncArguments = program(() =>
  attempt(() => convex.syscall({}, [])),
);
export const errorOfAsyncCall = program(() =>
  attemptAsync(() => convex.asyncSyscall("nonsense", "{}")),
);
export const errorOfJsSyscall = program(() =>
  attempt(() => convex.jsSyscall("nonsense", {})),
);
export const promiseOfAsyncCall = program(() => {
  const promise = convex.asyncSyscall("1.0/get", "{}");
  promise.catch(() => {});
  return leak(promise) ?? "nothing";
});
export const errorOfStackOverflow = program(() =>
  attempt(() => {
    const again = (): number => again() + 1;
    return again();
  }),
);
export const overflowInsideHostCall = program(() =>
  attempt(() => {
    const deeper = (): unknown => {
      try {
        return deeper();
      } catch {
        return convex.syscall(
          "1.0/db/normalizeId",
          '{"table":"t","idString":"x"}',
        );
      }
    };
    return deeper();
  }),
);
/** From the end of the stack up to where calls get through; what they throw is looked at later. */
export const hostCallsAtEveryDepth = program(() => {
  const thrown: Error[] = [];
  let answered = 0;
  let wrong: string | null = null;
  const deeper = (): unknown => {
    try {
      return deeper();
    } catch (end) {
      if (answered === 200) throw end;
      try {
        const answer = convex.syscall(
          "1.0/db/normalizeId",
          '{"table":"t","idString":"x"}',
        );
        if (answer !== '{"id":null}') wrong = answer;
        answered += 1;
      } catch (error) {
        thrown.push(error as Error);
      }
      throw end;
    }
  };
  attemptRead(deeper);
  const texts = thrown.map(({ message, stack }) => `${message} ${stack}`);
  const odd = texts.find((text) => /worker|node:|channel/.test(text));
  return (
    wrong ?? odd ?? (answered === 200 ? "nothing" : `${answered} answered`)
  );
});
export const overflowInsideConsole = program(() =>
  attempt(() => {
    const deeper = (): unknown => {
      try {
        return deeper();
      } catch {
        return console.log({});
      }
    };
    return deeper();
  }),
);
export const overflowInsideGetter = program(() =>
  attempt(() => {
    const object: any = {
      get self() {
        return this.self;
      },
    };
    return object.self;
  }),
);
export const errorOfBadArray = program(() => attempt(() => new Array(-1)));
export const errorOfBadString = program(() =>
  attempt(() => "x".repeat(2 ** 30)),
);
export const errorOfBadRegex = program(() => attempt(() => new RegExp("(")));
export const errorOfBadJson = program(() => attempt(() => JSON.parse("{")));
export const errorOfBadUri = program(() =>
  attempt(() => decodeURIComponent("%")),
);
export const errorOfBadDate = program(() =>
  attempt(() => new Date(NaN).toISOString()),
);
export const errorOfBigInt = program(() => attempt(() => BigInt(1.5)));
export const errorOfBase64 = program(() => attempt(() => atob("*")));
export const errorOfUrl = program(() => attempt(() => new URL("no url")));
export const errorOfClone = program(() =>
  attempt(() => structuredClone(() => {})),
);
export const errorOfWebAssembly = program(() =>
  attempt(() => new WebAssembly.Module(new Uint8Array([1, 2, 3]))),
);
export const errorOfDecoder = program(() =>
  attempt(() => new TextDecoder("nonsense")),
);
export const errorOfFetch = program(() =>
  attemptAsync(() => fetch("http://127.0.0.1:1/")),
);
export const errorOfAsyncIteration = program((ctx) =>
  attemptAsync(() => ctx.db.query("t").withIndex("nowhere").collect()),
);

// Stack traces.
export const prepareStackTrace = program(() => {
  let sites: any[] = [];
  (Error as any).prepareStackTrace = (_: unknown, callSites: any[]) => {
    sites = callSites;
    return "";
  };
  void new Error("x").stack;
  for (const site of sites) {
    for (const read of ["getThis", "getFunction", "getEvalOrigin"]) {
      const kind = leak(attemptRead(() => site[read]?.()));
      if (kind !== null) return kind;
    }
    const file = attemptRead(() => site.getFileName());
    if (
      typeof file === "string" &&
      /worker|node:|\//.test(file.replace("convex:/", ""))
    )
      return file;
  }
  return "nothing";
});
export const prepareStackTraceInHost = program(async () => {
  let stolen: unknown = null;
  (Error as any).prepareStackTrace = (error: unknown, sites: any[]) => {
    stolen =
      leak(error) ??
      sites.map((site) => leak(site.getFunction?.())).find(Boolean) ??
      stolen;
    return "stolen";
  };
  for (const run of [
    () => convex.syscall("nonsense", "{}"),
    () => new URL("x"),
    () => console.log(new Error("y")),
  ]) {
    attempt(run);
  }
  return stolen ?? "nothing";
});
export const stackTextShowsNoHost = program(() => {
  const error = attemptRead(() => convex.syscall("nonsense", "{}")) as Error;
  return /isolate-worker|node:|isolated_vm/.test(error.stack ?? "")
    ? error.stack
    : "nothing";
});
export const stackLimitGetter = program(() =>
  attempt(() => {
    Object.defineProperty(Error, "stackTraceLimit", {
      get() {
        throw new Error("from the limit");
      },
    });
    throw new Error("x");
  }),
);
export const captureStackOnHostObject = program(() =>
  attempt(() => (Error as any).captureStackTrace(convex.syscall)),
);
export const errorCauseCycle = program(() => {
  const error: any = new Error("cycle");
  error.cause = error;
  throw error;
});
export const callerOfHandler = program(() =>
  attempt(() => (Function.prototype as any).caller ?? (attempt as any).caller),
);

// Values with behaviour, handed to the host.
const trap = (seen: string[]) =>
  new Proxy(function () {} as any, {
    get: (_, key) => {
      seen.push(String(key));
      return key === Symbol.toPrimitive ? () => "x" : trap(seen);
    },
    apply: (_target, self, args) => {
      for (const value of [self, ...args]) {
        const kind = leak(value);
        if (kind !== null) seen.push(`LEAK ${kind}`);
      }
      return "x";
    },
  });
function runTrap(use: (proxy: any) => unknown): string {
  const seen: string[] = [];
  attempt(() => use(trap(seen)));
  return seen.find((entry) => entry.startsWith("LEAK")) ?? "nothing";
}
export const proxyAsOperation = program(() =>
  runTrap((proxy) => convex.syscall(proxy, "{}")),
);
export const proxyAsArguments = program(() =>
  runTrap((proxy) => convex.syscall("x", proxy)),
);
export const proxyAsAsyncArguments = program(() =>
  runTrap((proxy) => convex.asyncSyscall("1.0/get", proxy)?.catch?.(() => {})),
);
export const proxyToJsSyscall = program(() =>
  runTrap((proxy) => convex.jsSyscall("requestFromConvexJson", proxy)),
);
export const proxyToConsole = program(() =>
  runTrap((proxy) => console.log(proxy, { proxy })),
);
export const proxyToUrl = program(() => runTrap((proxy) => new URL(proxy)));
export const proxyToDecoder = program(() =>
  runTrap((proxy) => new TextDecoder().decode(proxy)),
);
export const proxyToEncoder = program(() =>
  runTrap((proxy) => new TextEncoder().encode(proxy)),
);
export const proxyToRandom = program(() =>
  runTrap((proxy) => crypto.getRandomValues(proxy)),
);
export const proxyToClone = program(() =>
  runTrap((proxy) => structuredClone(proxy)),
);
export const proxyAsThisOfSyscall = program(() =>
  runTrap((proxy) => convex.syscall.call(proxy, "x", "{}")),
);
export const proxyAsNewTarget = program(() =>
  runTrap((proxy) => Reflect.construct(URL, ["http://x/"], proxy)),
);
export const throwingConversion = program(() =>
  attempt(() =>
    convex.syscall(
      {
        toString() {
          throw new Error("no");
        },
      },
      "{}",
    ),
  ),
);
export const reentrantConversion = program(() =>
  attempt(() =>
    convex.syscall(
      {
        toString: () =>
          convex.syscall("1.0/db/normalizeId", '{"table":"t","idString":"x"}'),
      },
      "{}",
    ),
  ),
);

// Shared machinery.
export const sharedMemoryWait = program(() =>
  attempt(() =>
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000),
  ),
);
export const weakReferences = program(() =>
  attempt(() => new WeakRef(convex).deref()),
);
export const finalizers = program(() => {
  let seen: string | null = null;
  const registry = new FinalizationRegistry((held) => {
    seen = leak(held);
  });
  for (let i = 0; i < 1000; i++) registry.register({}, convex);
  return seen ?? "nothing";
});
export const asyncHooks = program(async () => {
  const kinds = new Set<string | null>();
  const thenable = {
    then(resolve: any, reject: any) {
      kinds.add(leak(resolve)).add(leak(reject));
      resolve("x");
    },
  };
  await thenable;
  await Promise.resolve(thenable);
  await Promise.all([thenable]);
  return [...kinds].find((kind) => kind !== null) ?? "nothing";
});
export const asyncLocalStorage = program(() => {
  const Storage = global.AsyncLocalStorage;
  if (Storage === undefined) return "nothing";
  const storage = new Storage();
  return storage.run({ a: 1 }, () => leak(storage.getStore())) ?? "nothing";
});
export const speciesOfPromise = program(async () => {
  let seen: string | null = null;
  class Spy extends Promise<unknown> {
    constructor(run: any) {
      super((resolve, reject) => {
        seen ??= leak(resolve) ?? leak(run);
        run(resolve, reject);
      });
    }
  }
  Object.defineProperty(Promise, Symbol.species, { get: () => Spy });
  await convex.asyncSyscall("1.0/getUserIdentity", "{}").then(() => {});
  return seen ?? "nothing";
});
export const webAssemblyImports = program(() =>
  attempt(() => {
    // (module (import "m" "f" (func)) (start 0))
    const bytes = [
      0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 7, 1, 1, 109, 1, 102,
      0, 0, 8, 1, 0,
    ];
    let seen: unknown = null;
    const module = new WebAssembly.Module(new Uint8Array(bytes));
    const f = function (this: unknown) {
      seen = this;
    };
    return new WebAssembly.Instance(module, { m: { f } }) && seen;
  }),
);
export const shadowRealm = program(() =>
  attempt(() => new global.ShadowRealm().evaluate("globalThis.process")),
);
export const symbolRegistry = program(() =>
  attempt(() => {
    const inspect = Symbol.for("nodejs.util.inspect.custom");
    let seen: unknown = null;
    console.log({
      [inspect](_depth: unknown, options: unknown, inspector: unknown) {
        seen = inspector ?? options;
        return "";
      },
    });
    return seen;
  }),
);
export const nodeBindings = program(() => {
  const names = [
    "binding",
    "_linkedBinding",
    "mainModule",
    "dlopen",
    "getBuiltinModule",
  ];
  return (
    names.filter((name) => global.process?.[name] !== undefined).join() ||
    "nothing"
  );
});
export const sealedEnvironment = program(() => {
  const keys = Object.keys(global.process.env);
  return keys.filter((key) => !key.startsWith("CONVEX_")).join() || "nothing";
});
