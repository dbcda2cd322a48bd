import { ConvexError, v } from "convex/values";
import { api, internal } from "./_generated/api";
import type { Doc } from "./_generated/dataModel";
import { action, internalMutation, mutation, query } from "./_generated/server";

const WELCOME_DELAY_MS = 500;

/** The newest 20 messages, newest first. */
export const list = query({
  args: {},
  handler: async (ctx): Promise<Doc<"messages">[]> =>
    await ctx.db.query("messages").order("desc").take(20),
});

/** How many messages an author has sent, by the index. */
export const countByAuthor = query({
  args: { author: v.string() },
  returns: v.number(),
  handler: async (ctx, { author }) => {
    const messages = await ctx.db
      .query("messages")
      .withIndex("by_author", (range) => range.eq("author", author))
      .collect();
    return messages.length;
  },
});

export const send = mutation({
  args: { author: v.string(), body: v.string() },
  returns: v.id("messages"),
  handler: async (ctx, { author, body }) => {
    if (body.trim() === "") {
      throw new ConvexError("A message needs a text.");
    }
    return await ctx.db.insert("messages", { author, body });
  },
});

/** Only other functions and the administrator can call this one. */
export const sendFromServer = internalMutation({
  args: { body: v.string() },
  returns: v.null(),
  handler: async (ctx, { body }) => {
    await ctx.db.insert("messages", { author: "server", body });
    return null;
  },
});

/** Greets an author at once, and says a little later how much they have written. */
export const greet = action({
  args: { author: v.string() },
  returns: v.number(),
  handler: async (ctx, { author }): Promise<number> => {
    const count: number = await ctx.runQuery(api.messages.countByAuthor, { author });
    await ctx.runMutation(internal.messages.sendFromServer, { body: `Welcome, ${author}!` });
    await ctx.scheduler.runAfter(WELCOME_DELAY_MS, internal.messages.sendFromServer, {
      body: `${author} has written ${count} messages so far.`,
    });
    return count;
  },
});
