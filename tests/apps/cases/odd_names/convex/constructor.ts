import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

export const toString = query({ args: {}, handler: async () => "toString" });
export const hasOwnProperty = query({ args: {}, handler: async () => "own" });

export const put = mutation({
  args: { constructor: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("constructor", args);
    const row = await ctx.db.query("constructor").first();
    return row!.constructor;
  },
});
