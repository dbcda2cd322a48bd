// The functions that every benchmark calls. Each peer does the same reads and writes in its own way.
import { mutationGeneric as mutation, queryGeneric as query } from "convex/server";
import { v } from "convex/values";

/** The newest 20 messages of a channel. A `nonce` that differs each time keeps any query cache out. */
export const list = query({
  args: { channel: v.string(), nonce: v.number() },
  handler: async (ctx, { channel }) =>
    await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", channel))
      .order("desc")
      .take(20),
});

/** Inserts one message and patches its sender's row, which no other connection writes. */
export const send = mutation({
  args: { channel: v.string(), author: v.id("members"), body: v.string() },
  handler: async (ctx, { channel, author, body }) => {
    const id = await ctx.db.insert("messages", { channel, author, body });
    await ctx.db.patch(author, { lastBody: body });
    return id;
  },
});
