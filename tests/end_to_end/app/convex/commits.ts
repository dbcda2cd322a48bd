import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, mutation, query } from "./_generated/server";

/** Writes the timestamp of its own commit, here and in a nested mutation, and returns it. */
export const stamp = mutation({
  args: { topic: v.string() },
  handler: async (ctx, { topic }): Promise<{ ts: unknown; pending: boolean; last: boolean }> => {
    const { commitTs } = ctx.db.vars;
    const id = await ctx.db.insert("commits", { topic, ts: commitTs });
    await ctx.runMutation(internal.commits.stampNested, { topic, ts: commitTs });
    const written = await ctx.db.get(id);
    const newest = await ctx.db.query("commits").withIndex("by_ts").order("desc").first();
    return {
      ts: commitTs,
      pending: written?.ts === commitTs,
      last: newest?.ts === commitTs,
    };
  },
});

export const stampNested = internalMutation({
  args: { topic: v.string(), ts: v.commitTs() },
  returns: v.commitTs(),
  handler: async (ctx, { topic, ts }) => {
    await ctx.db.insert("commits", { topic, ts });
    return ts;
  },
});

export const list = query({
  args: { topic: v.string() },
  handler: async (ctx, { topic }) => {
    const commits = await ctx.db.query("commits").withIndex("by_ts").collect();
    return commits.filter((commit) => commit.topic === topic).map((commit) => commit.ts);
  },
});
