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

export const names = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("runs").collect()).map((run) => run.name),
});

export const kinds = query({
  args: {},
  handler: async (ctx) => {
    const runs = await ctx.db.query("runs").collect();
    return [...new Set(runs.map((run) => run.name))].sort();
  },
});
