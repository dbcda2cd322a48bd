import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

const find = (ctx, name) =>
  ctx.db
    .query("counters")
    .withIndex("by_name", (q) => q.eq("name", name))
    .unique();

export const read = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => (await find(ctx, name))?.count ?? 0,
});

export const add = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const counter = await find(ctx, name);
    const count = (counter?.count ?? 0) + 1;
    if (counter === null) await ctx.db.insert("counters", { name, count });
    else await ctx.db.patch(counter._id, { count });
    return count;
  },
});
