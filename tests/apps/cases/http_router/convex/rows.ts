import { v } from "convex/values";
import { internalMutation } from "./_generated/server";

export const add = internalMutation({
  args: { text: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("rows", args);
    return (await ctx.db.query("rows").collect()).length;
  },
});
