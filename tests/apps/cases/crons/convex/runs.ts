import { v } from "convex/values";
import { internalAction, internalMutation, mutation, query } from "./_generated/server";

export const add = internalMutation({
  args: { name: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("runs", args);
  },
});

export const addAction = internalAction({ args: {}, handler: async () => {} });

export const clear = mutation({
  args: {},
  handler: async (ctx) => {
    for (const run of await ctx.db.query("runs").collect()) await ctx.db.delete(run._id);
  },
});

/** Of one schedule alone: which others come due depends on the time of day of the test. */
export const count = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const runs = await ctx.db.query("runs").collect();
    return runs.filter((run) => run.name === name).length;
  },
});

export const haveAllRun = query({
  args: { names: v.array(v.string()) },
  handler: async (ctx, { names }) => {
    const runs = await ctx.db.query("runs").collect();
    return names.every((name) => runs.some((run) => run.name === name));
  },
});

export const kinds = query({
  args: {},
  handler: async (ctx) => {
    const runs = await ctx.db.query("runs").collect();
    return [...new Set(runs.map((run) => run.name))].sort();
  },
});
