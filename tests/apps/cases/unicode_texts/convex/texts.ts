import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

export const add = mutation({
  args: { text: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("texts", args);
  },
});

export const sorted = query({
  args: {},
  handler: async (ctx) => {
    console.log("Straße", "🐍");
    return (await ctx.db.query("texts").withIndex("by_text").collect()).map((row) => row.text);
  },
});
