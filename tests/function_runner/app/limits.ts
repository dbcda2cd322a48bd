/** Functions that go as far as they are told: each row of the table of limits has one. */
import { action, mutationGeneric as mutation, queryGeneric as query } from "./functions";

export const fill = mutation(async (ctx, { count, bytes, table = "rows" }: any) => {
  for (let number = 0; number < count; number++) {
    await ctx.db.insert(table, { number, text: "x".repeat(bytes) });
  }
});

export const collect = query(
  async (ctx, { table }: any) => (await ctx.db.query(table).collect()).length,
);

export const ranges = query(async (ctx, { count, table }: any) => {
  for (let time = 0; time < count; time++) {
    const range = ctx.db
      .query(table)
      .withIndex("by_creation_time", (q: any) => q.eq("_creationTime", 2 * time));
    await range.first();
  }
});

export const page = query(
  async (ctx, { size }: any) =>
    await ctx.db.query("rows").paginate({ numItems: size, cursor: null }),
);

export const operators = query(async (ctx, { count }: any) => {
  let rows: any = ctx.db.query("rows");
  for (let number = 0; number < count; number++) rows = rows.filter((q: any) => q.eq(1, 1));
  return await rows.collect();
});

export const schedule = mutation(async (ctx, { count, bytes }: any) => {
  for (let number = 0; number < count; number++) {
    await ctx.scheduler.runAfter(0, "limits:collect" as any, { text: "x".repeat(bytes) });
  }
});

export const giveMuch = query(async (_, { bytes }: any) => "x".repeat(bytes));
export const take = query(async () => null);

const forever = () => {
  for (;;);
};
export const loopInQuery = query(async () => forever());
export const loopInMutation = mutation(async () => forever());
export const loopInAction = action(async () => forever());
export const waitInAction = action(
  async () => await new Promise((resolve) => setTimeout(resolve, 1_000_000)),
);

export const fillHeap = query(async () => {
  const kept = [];
  for (;;) kept.push(new Array(500_000).fill(0.5));
});

const nameOf = (work: () => unknown) => {
  try {
    work();
    return "nothing was thrown";
  } catch (error) {
    return String(error);
  }
};
export const buffers = query(async (_, { count, bytes }: any) => {
  const kept: ArrayBuffer[] = [];
  return nameOf(() => {
    for (let number = 0; number < count; number++) kept.push(new ArrayBuffer(bytes));
  });
});
export const recurse = query(async () => {
  const again = (depth: number): number => 1 + again(depth + 1);
  return nameOf(() => again(0));
});

export const depth = query(async () => {
  let reached = 0;
  const again = (): void => {
    reached += 1;
    again();
  };
  nameOf(again);
  return reached;
});

export const log = query(async (_, { count, characters }: any) => {
  for (let number = 0; number < count; number++) console.log("x".repeat(characters));
});

export const callAtOnce = action(async (ctx, { count }: any) => {
  const calls = Array.from({ length: count }, () => ctx.runQuery("limits:take" as any, {}));
  const results = await Promise.allSettled(calls);
  const refused = results.find(({ status }) => status === "rejected");
  return refused === undefined ? "all" : String((refused as PromiseRejectedResult).reason);
});
