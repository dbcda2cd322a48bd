/** What the other modules' functions leave behind when components call them. */
import { v } from "convex/values";
import { internalMutation, query } from "./_generated/server";

export const record = internalMutation({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    await ctx.db.insert("events", { text });
  },
});

export const list = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("events").collect()).map(({ text }) => text),
});
