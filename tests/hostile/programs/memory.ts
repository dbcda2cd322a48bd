/** More memory than there is. Each must end as out of memory, timed out or refused by the engine. */
import { acting, convex, global, program, writing } from "./hostile";

const forever = <T>(grow: (round: number) => T): never => {
  for (let round = 0; ; round++) grow(round);
};

export const arrays = program(() => {
  const all: unknown[] = [];
  forever(() => all.push(new Array(10_000).fill(0)));
});
export const doubles = program(() => {
  const all: unknown[] = [];
  forever((i) => all.push(Float64Array.from([i, i, i])));
});
export const nestedArrays = program(() => {
  let all: unknown[] = [];
  forever(() => {
    all = [all, all.slice()];
  });
});
export const spreadArray = program(() => {
  let all = [1];
  forever(() => {
    all = [...all, ...all];
  });
});
export const sparseArray = program(() => {
  const all: number[] = [];
  forever((i) => {
    all[i * 1000] = i;
  });
});
export const hugeArrayJoin = program(
  () => new Array(2 ** 28).join("ab").length,
);
export const arrayFrom = program(
  () => Array.from({ length: 2 ** 32 - 2 }).length,
);
export const flatArray = program(() => {
  let all: any[] = [1, 2, 3];
  forever(() => {
    all = all.flatMap((one) => [one, one, one]);
  });
});
export const sets = program(() => {
  const all = new Set<string>();
  forever((i) => all.add(`entry ${i}`));
});
export const maps = program(() => {
  const all = new Map<number, object>();
  forever((i) => all.set(i, { i }));
});
export const weakMaps = program(() => {
  const all = new WeakMap<object, object>();
  const kept: object[] = [];
  forever(() => {
    const key = {};
    kept.push(key);
    all.set(key, {});
  });
});
export const properties = program(() => {
  const all: any = {};
  forever((i) => {
    all[`property${i}`] = i;
  });
});
export const closures = program(() => {
  const all: unknown[] = [];
  forever((i) => all.push(() => i));
});
export const symbols = program(() => {
  forever((i) => Symbol.for(`symbol ${i}`));
});
export const shapes = program(() => {
  const all: unknown[] = [];
  forever((i) => all.push({ [`shape${i}`]: i }));
});
export const strings = program(() => {
  let text = "x";
  forever(() => {
    text += text;
  });
});
export const flatStrings = program(() => {
  const all: string[] = [];
  forever((i) => all.push(`${i}`.padEnd(100_000, "x")));
});
export const repeatString = program(() => {
  const all: unknown[] = [];
  forever((i) => all.push(JSON.stringify("x".repeat(50_000_000) + i)));
});
export const replaceString = program(() => {
  let text = "aaaa";
  forever(() => {
    text = text.replace(/a/g, "aa");
  });
});
export const splitString = program(() => {
  const text = "x".repeat(20_000_000);
  const all: unknown[] = [];
  forever(() => all.push(text.split("")));
});
export const buffers = program(() => {
  const all: unknown[] = [];
  forever(() => all.push(new ArrayBuffer(10_000_000)));
});
export const touchedBuffers = program(() => {
  const all: unknown[] = [];
  forever(() => all.push(new Uint8Array(10_000_000).fill(1)));
});
export const hugeBuffer = program(() => new ArrayBuffer(2 ** 40).byteLength);
export const transferredBuffers = program(() => {
  let buffer = new ArrayBuffer(1_000);
  forever(() => {
    buffer = (buffer as any).transfer(buffer.byteLength * 2);
  });
});
export const sharedBuffers = program(() => {
  const all: unknown[] = [];
  forever(() => all.push(new SharedArrayBuffer(10_000_000)));
});
export const encodedText = program(() => {
  const text = "x".repeat(10_000_000);
  const all: unknown[] = [];
  forever(() => all.push(new TextEncoder().encode(text)));
});
export const clones = program(() => {
  const source = new Array(10_000).fill({ a: 1 });
  const all: unknown[] = [];
  forever(() => all.push(structuredClone(source)));
});
export const bigIntegers = program(() => {
  let number = 3n;
  forever(() => {
    number **= 2n;
  });
});
export const manyBigIntegers = program(() => {
  const all: unknown[] = [];
  forever((i) => all.push(1n << BigInt(1_000_000 + i)));
});
export const regexes = program(() => {
  const all: unknown[] = [];
  forever((i) => all.push(new RegExp(`(${"a|".repeat(1000)}${i})`)));
});
export const regexResult = program(() => {
  const text = "ab".repeat(5_000_000);
  return [...text.matchAll(/a|b/g)].length;
});
export const deepJson = program(() => JSON.parse("[".repeat(50_000_000)));
export const deepObject = program(() => {
  let deep: any = {};
  forever(() => {
    deep = { deep };
  });
});
export const deepResult = program(() => {
  let deep: any = {};
  for (let i = 0; i < 100_000; i++) deep = { deep };
  return deep;
});
export const wideJson = program(
  () => JSON.parse(`[${"1,".repeat(20_000_000)}1]`).length,
);
export const promises = program(() => {
  const all: unknown[] = [];
  forever(() => all.push(new Promise(() => {})));
});
export const microtasks = program(async () => {
  const all: unknown[] = [];
  const grow = (): unknown =>
    all.push(new Array(1000).fill(0)) && Promise.resolve().then(grow);
  await grow();
  await new Promise(() => {});
});
export const iterators = program(() => {
  function* numbers(): any {
    yield* numbers();
  }
  return numbers().next();
});
export const errors = program(() => {
  const all: unknown[] = [];
  forever((i) => all.push(new Error("x".repeat(1000) + i)));
});
export const logLines = program(() => {
  forever((i) => console.log("x".repeat(10_000), i));
});
export const logObjects = program(() => {
  const wide: any = {};
  for (let i = 0; i < 1000; i++) wide[`k${i}`] = wide;
  forever(() => console.log(wide));
});
export const pendingCalls = program(() => {
  forever(() => convex.asyncSyscall("1.0/getUserIdentity", "{}"));
});
export const hugeCallArguments = program(() => {
  const text = JSON.stringify({ id: "x".repeat(60_000_000) });
  return Promise.all(
    new Array(50).fill(0).map(() => convex.asyncSyscall("1.0/get", text)),
  );
});
export const hugeSyncArguments = program(() => {
  const text = JSON.stringify({ table: "t", idString: "x".repeat(30_000_000) });
  forever(() => convex.syscall("1.0/db/normalizeId", text));
});
export const hugeResult = program(() => new Array(8000).fill("x".repeat(8000)));
export const hugeWrites = writing(async (ctx) => {
  for (;;) await ctx.db.insert("hogs", { text: "x".repeat(900_000) });
});
export const timers = acting(() => {
  const all: unknown[] = [];
  for (let i = 0; i < 200_000; i++) all.push(setTimeout(() => all, 1_000_000));
  return "set";
});
export const actionArrays = acting(() => {
  const all: unknown[] = [];
  forever(() => all.push(new Array(10_000).fill(0)));
});
export const urls = program(() => {
  const all: unknown[] = [];
  forever((i) => all.push(new URL(`http://host${i}/${"x".repeat(10_000)}`)));
});
export const blobs = program(() => {
  const all: unknown[] = [];
  forever(() => all.push(new global.Blob(["x".repeat(1_000_000)])));
});
export const proxies = program(() => {
  let proxy: any = {};
  forever(() => {
    proxy = new Proxy(proxy, {});
  });
});
