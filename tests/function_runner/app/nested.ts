import { internalMutation, mutationGeneric as mutation, queryGeneric as query } from "./functions";
import { v } from "convex/values";

export const add = internalMutation({
  args: { body: v.string(), fails: v.boolean() },
  handler: async (ctx, { body, fails }) => {
    console.log("adding", body);
    await ctx.db.insert("messages", { author: "nested", body });
    if (fails) throw new Error("refused");
    return body;
  },
});

export const outer = mutation({
  args: {},
  handler: async (ctx) => {
    console.log("before");
    await ctx.runMutation("nested:add" as any, { body: "kept", fails: false });
    let caught = "";
    try {
      await ctx.runMutation("nested:add" as any, { body: "undone", fails: true });
    } catch (error: any) {
      caught = error.message;
    }
    console.log("after");
    const rows: any[] = await ctx.runQuery("messages:list" as any, {});
    return { caught, bodies: rows.map((row) => row.body) };
  },
});

export const addUpTo = mutation({
  args: { count: v.number(), documentsWritten: v.number() },
  handler: async (ctx, { count, documentsWritten }) => {
    await ctx.db.insert("messages", { author: "limited", body: "own" });
    const options = { transactionLimits: { documentsWritten } };
    for (let i = 0; i < count; i++) {
      const args = { body: "limited", fails: false };
      await (ctx.runMutation as any)("nested:add", args, options);
    }
    await ctx.db.insert("messages", { author: "limited", body: "own again" });
  },
});

const scheduledMetrics = async () => {
  const metrics = JSON.parse(
    await (globalThis as any).Convex.asyncSyscall("1.0/getTransactionMetrics", "{}"),
  );
  return [metrics.functionsScheduled.used, metrics.scheduledFunctionArgsBytes.used];
};

export const scheduleAndFail = internalMutation({
  args: {},
  handler: async (ctx) => {
    await ctx.scheduler.runAfter(0, "nested:outer" as any, {});
    throw new Error(JSON.stringify(await scheduledMetrics()));
  },
});

export const scheduleBesideFailure = mutation({
  args: {},
  handler: async (ctx) => {
    await ctx.scheduler.runAfter(0, "nested:outer" as any, {});
    let inner = "";
    await ctx.runMutation("nested:scheduleAndFail" as any, {}).catch((error: any) => {
      inner = error.message;
    });
    return { inner, outer: await scheduledMetrics() };
  },
});

export const deep = query({
  args: { depth: v.number() },
  handler: async (ctx, { depth }): Promise<number> =>
    depth === 0 ? 0 : 1 + ((await ctx.runQuery("nested:deep" as any, { depth: depth - 1 })) as number),
});

export const observing = query({
  args: {},
  handler: async (ctx) => await ctx.runQuery("messages:clockAndDice" as any, {}),
});
