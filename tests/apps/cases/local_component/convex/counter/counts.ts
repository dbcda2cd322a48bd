import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

export const total = query({
  args: {},
  returns: v.number(),
  handler: async (ctx) => (await ctx.db.query("counts").collect()).length,
});

export const add = mutation({
  args: {},
  returns: v.number(),
  handler: async (ctx) => {
    await ctx.db.insert("counts", { at: Date.now() });
    return (await ctx.db.query("counts").collect()).length;
  },
});
