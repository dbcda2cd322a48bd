import { paginationOptsValidator } from "convex/server";
import { v } from "convex/values";
import { mutation, query, type QueryCtx } from "./_generated/server";

const notesOf = (ctx: QueryCtx, topic: string) =>
  ctx.db.query("notes").withIndex("by_topic", (range) => range.eq("topic", topic));

export const list = query({
  args: { topic: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { topic, paginationOpts }) => {
    const found = await notesOf(ctx, topic).paginate(paginationOpts);
    return found.page.map((note) => note.body);
  },
});

export const removeFirst = mutation({
  args: { topic: v.string() },
  handler: async (ctx, { topic }) => {
    const note = await notesOf(ctx, topic).first();
    await ctx.db.delete(note!._id);
  },
});
