/** More time than there is, where the engine looks seldom or the host does the work. */
import { acting, convex, program } from "./hostile";

export const loop = program(() => {
  for (;;);
});
export const loopWithTry = program(() => {
  for (;;) {
    try {
      for (;;);
    } catch {
      // Termination must not be caught.
    } finally {
      for (;;);
    }
  }
});
export const loopInFinally = program(() => {
  try {
    throw new Error("x");
  } finally {
    for (;;);
  }
});
export const microtaskLoop = program(async () => {
  for (;;) await null;
});
export const microtaskChain = program(() => {
  const again = (): Promise<unknown> => Promise.resolve().then(again);
  return again();
});
export const unawaitedMicrotasks = program(() => {
  const again = (): Promise<unknown> => Promise.resolve().then(again);
  void again();
  return "returned, but not done";
});
export const thenableLoop = program(() => {
  const thenable = { then: (resolve: any) => resolve(thenable) };
  return Promise.resolve(thenable);
});
export const asyncGeneratorLoop = program(async () => {
  async function* numbers() {
    for (;;) yield 1;
  }
  for await (const _ of numbers());
});
export const regexBacktracking = program(() =>
  /^(a+)+$/.test(`${"a".repeat(60)}b`),
);
export const regexNested = program(() => /(x+x+)+y/.test("x".repeat(100)));
export const regexReplace = program(() =>
  "a".repeat(100).replace(/(a*)*b/g, ""),
);
export const regexSplit = program(() => "a".repeat(100).split(/(a|aa)+$/));
export const regexSticky = program(() => {
  const text = "ab".repeat(500_000);
  for (;;) text.match(/(a|b)*c/y);
});
export const getterLoop = program(() => {
  const object: any = {
    get x() {
      for (;;);
    },
  };
  return object.x;
});
export const getterInResult = program(() => ({
  get x(): number {
    for (;;);
  },
}));
export const toJsonInResult = program(() => ({
  toJSON() {
    for (;;);
  },
}));
export const proxyResult = program(
  () =>
    new Proxy(
      {},
      {
        ownKeys() {
          for (;;);
        },
      },
    ),
);
export const iteratorInResult = program(() => {
  const all: any = [1];
  all[Symbol.iterator] = function* () {
    for (;;) yield 1;
  };
  return [...all];
});
export const thenableResult = program(() => ({
  then() {
    for (;;);
  },
}));
export const getterInError = program(() => {
  const error = new Error("x");
  Object.defineProperty(error, "message", {
    get() {
      for (;;);
    },
  });
  throw error;
});
export const nameOfError = program(() => {
  const error = new Error("x");
  Object.defineProperty(error, "name", {
    get() {
      for (;;);
    },
  });
  throw error;
});
export const stackOfError = program(() => {
  (Error as any).prepareStackTrace = () => {
    for (;;);
  };
  throw new Error("x");
});
export const dataOfError = program(() => {
  const error: any = new Error("x");
  error[Symbol.for("ConvexError")] = true;
  Object.defineProperty(error, "data", {
    get() {
      for (;;);
    },
  });
  throw error;
});
export const throwsForever = program(() => {
  const thrower = {
    toString() {
      for (;;);
    },
  };
  throw thrower;
});
export const getterInLog = program(() => {
  console.log({
    get x() {
      for (;;);
    },
  });
});
export const proxyInLog = program(() => {
  console.log(
    new Proxy(
      {},
      {
        get() {
          for (;;);
        },
        ownKeys() {
          for (;;);
        },
      },
    ),
  );
});
export const conversionInCall = program(() =>
  convex.syscall(
    {
      toString() {
        for (;;);
      },
    },
    "{}",
  ),
);
export const replacedThen = program(async () => {
  Promise.prototype.then = function () {
    for (;;);
  } as any;
  return await convex.asyncSyscall("1.0/getUserIdentity", "{}");
});
export const sorting = program(() => {
  const all = Array.from({ length: 100_000 }, (_, i) => i);
  for (;;) all.sort(() => Math.random() - 0.5);
});
export const sortingFloats = program(() => {
  const all = new Float64Array(5_000_000);
  for (;;) all.fill(1).sort();
});
export const bigPower = program(() => (2n ** 1_000_000n) ** 60n);
export const bigDivision = program(() => {
  const number = 7n ** 200_000n;
  for (;;) number / (number - 1n);
});
export const bigToString = program(() => (3n ** 3_000_000n).toString().length);
export const jsonParsing = program(() => {
  const text = JSON.stringify(
    new Array(100_000).fill({ a: [1, 2, { b: "c" }] }),
  );
  for (;;) JSON.parse(text);
});
export const includes = program(() => {
  const text = `${"a".repeat(10_000_000)}`;
  for (;;) text.indexOf(`${"a".repeat(5_000)}b`);
});
export const intl = program(() => {
  for (;;) new Intl.DateTimeFormat("de", { dateStyle: "full" }).format(0);
});
export const normalizing = program(() => {
  const text = "\u1100\u1161\u11a8".repeat(1_000_000);
  for (;;) text.normalize("NFC").normalize("NFD");
});
export const endlessCalls = program(async () => {
  for (;;) await convex.asyncSyscall("1.0/getUserIdentity", "{}");
});
export const endlessSyncCalls = program(() => {
  for (;;) convex.syscall("1.0/db/normalizeId", '{"table":"t","idString":"x"}');
});
export const never = program(() => new Promise(() => {}));
export const deepRecursion = program(() => {
  const deeper = (n: number): number => {
    try {
      return deeper(n + 1);
    } catch {
      return deeper(n + 1);
    }
  };
  return deeper(0);
});
export const webAssemblyLoop = program(() => {
  // (module (func (export "f") (loop (br 0))))
  const bytes = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102,
    0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11,
  ];
  const { exports } = new WebAssembly.Instance(
    new WebAssembly.Module(new Uint8Array(bytes)),
  );
  (exports as any).f();
});
export const sharedMemorySpin = program(() => {
  const flags = new Int32Array(new SharedArrayBuffer(4));
  while (Atomics.load(flags, 0) === 0);
});
export const timerStorm = acting(async () => {
  let count = 0;
  await new Promise<void>((done) => {
    const tick = () => (++count === 2_000 ? done() : setTimeout(tick, 0));
    for (let i = 0; i < 50; i++) tick();
  });
  return "nothing";
});
