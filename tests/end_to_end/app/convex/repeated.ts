import { v } from "convex/values";
import { internalMutation, query } from "./_generated/server";

export const run = internalMutation({
  args: { cron: v.string() },
  handler: async (ctx, { cron }) => {
    await ctx.db.insert("runs", { cron });
  },
});

/** Which crons ran, in order. */
export const runs = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("runs").collect()).map((run) => run.cron),
});
