import { mutationGeneric as mutation } from "convex/server";
import { v } from "convex/values";

/** Inserts messages number `from` up to `to`, dealt out evenly over the channels. */
export const messages = mutation({
  args: { from: v.number(), to: v.number(), channels: v.number(), body: v.string() },
  handler: async (ctx, { from, to, channels, body }) => {
    const inserts = [];
    for (let number = from; number < to; number++) {
      const channel = `channel-${number % channels}`;
      inserts.push(ctx.db.insert("messages", { channel, author: "seed", body: `${number} ${body}` }));
    }
    await Promise.all(inserts);
    return null;
  },
});

/** Inserts the senders, one for each connection of the load generator, and gives their ids. */
export const members = mutation({
  args: { count: v.number() },
  handler: async (ctx, { count }) => {
    const ids = [];
    for (let number = 0; number < count; number++) {
      ids.push(await ctx.db.insert("members", { name: `member-${number}`, lastBody: "" }));
    }
    return ids;
  },
});
