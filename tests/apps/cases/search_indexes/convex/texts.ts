import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

export const add = mutation({
  args: { body: v.string(), embedding: v.array(v.float64()) },
  handler: async (ctx, args) => {
    await ctx.db.insert("texts", args);
  },
});

export const all = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("texts").collect()).map((text) => text.body),
});
