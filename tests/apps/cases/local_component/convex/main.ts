import { v } from "convex/values";
import { components } from "./_generated/api";
import { mutation } from "./_generated/server";

export const add = mutation({
  args: { to: v.union(v.literal("first"), v.literal("second")) },
  handler: async (ctx, args): Promise<number> =>
    await ctx.runMutation(components[args.to].counts.add),
});
