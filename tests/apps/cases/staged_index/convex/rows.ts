import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

export const add = mutation({
  args: { a: v.string(), b: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("rows", args);
  },
});

export const find = query({
  args: { a: v.string() },
  handler: async (ctx, args) => {
    const found = await (ctx.db.query("rows") as any)
      .withIndex("by_both", (q: any) => q.eq("a", args.a))
      .collect();
    return found.map((row: { b: number }) => row.b);
  },
});
