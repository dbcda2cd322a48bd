import { action, queryGeneric as query } from "./functions";

export const loop = query({
  args: {},
  handler: async () => {
    for (;;);
  },
});

export const bomb = query({
  args: {},
  handler: async () => {
    const map = new Map();
    for (let i = 0; ; i++) map.set(i, new Array(100_000).fill(i));
  },
});

export const never = query({ args: {}, handler: async () => await new Promise(() => {}) });

export const waitForever = action({
  args: {},
  handler: async () => {
    console.log("waiting");
    await new Promise((resolve) => setTimeout(resolve, 1_000_000));
  },
});

export const computeForever = action({
  args: {},
  handler: async () => {
    console.log("computing");
    await new Promise((resolve) => setTimeout(resolve, 1));
    for (;;);
  },
});

export const waitForMessage = action({
  args: {},
  handler: async (ctx) => {
    console.log("waiting");
    let rows: any[] = [];
    while (rows.length === 0) rows = await ctx.runQuery("messages:list" as any, {});
    return rows.length;
  },
});

export const unknownSyscall = query({
  args: {},
  handler: async () => await (globalThis as any).Convex.asyncSyscall("1.0/nonsense", "{}"),
});

export const writeInQuery = query({
  args: {},
  handler: async () =>
    await (globalThis as any).Convex.asyncSyscall(
      "1.0/insert",
      JSON.stringify({ table: "t", value: {} }),
    ),
});

let calls = 0;
export const leftBehind = query({ args: {}, handler: async () => ++calls });
