import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, mutation, query } from "./_generated/server";

export const plan = mutation({
  args: {},
  handler: async (ctx) => {
    const { run, fail } = internal.later;
    await ctx.scheduler.runAfter(60_000, run, { name: "minute" });
    await ctx.scheduler.runAt(Date.now() + 3_600_000, run, { name: "hour" });
    const unwanted = await ctx.scheduler.runAfter(30_000, run, { name: "unwanted" });
    await ctx.scheduler.cancel(unwanted);
    await ctx.scheduler.runAfter(10_000, fail, {});
  },
});

export const run = internalMutation({
  args: { name: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("done", args);
  },
});

export const fail = internalMutation({
  args: {},
  handler: async (ctx) => {
    await ctx.db.insert("done", { name: "never" });
    throw new Error("on purpose");
  },
});

export const done = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("done").collect()).map((row) => row.name),
});

export const states = query({
  args: {},
  handler: async (ctx) => {
    const jobs = await ctx.db.system.query("_scheduled_functions").collect();
    return jobs.map((job) => job.state.kind);
  },
});
