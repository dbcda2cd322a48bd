import { v } from "convex/values";
import { api, internal } from "./_generated/api";
import { action, internalMutation, mutation, query } from "./_generated/server";

export const list = query({
  args: { topic: v.string() },
  handler: async (ctx, { topic }) => {
    const notes = await ctx.db
      .query("notes")
      .withIndex("by_topic", (range) => range.eq("topic", topic))
      .collect();
    return notes.map((note) => note.body);
  },
});

export const add = mutation({
  args: { topic: v.string(), body: v.string() },
  handler: async (ctx, note) => await ctx.db.insert("notes", note),
});

export const addLater = mutation({
  args: { topic: v.string(), body: v.string(), delayMs: v.number() },
  handler: async (ctx, { delayMs, ...note }) => {
    await ctx.scheduler.runAfter(delayMs, api.notes.add, note);
  },
});

/** Reads what it writes, so that concurrent calls conflict and are run again. */
export const addNumbered = mutation({
  args: { topic: v.string() },
  handler: async (ctx, { topic }) => {
    const notes = await ctx.db
      .query("notes")
      .withIndex("by_topic", (range) => range.eq("topic", topic))
      .collect();
    await ctx.db.insert("notes", { topic, body: `${notes.length}` });
    return notes.length;
  },
});

export const addThenFail = mutation({
  args: { topic: v.string() },
  handler: async (ctx, { topic }) => {
    await ctx.db.insert("notes", { topic, body: "must not stay" });
    throw new Error("changed my mind");
  },
});

export const clear = internalMutation({
  args: { topic: v.string() },
  handler: async (ctx, { topic }) => {
    const notes = await ctx.db
      .query("notes")
      .withIndex("by_topic", (range) => range.eq("topic", topic))
      .collect();
    for (const note of notes) await ctx.db.delete(note._id);
    return notes.length;
  },
});

/** Calls a mutation and a query, and schedules another mutation. */
export const addByAction = action({
  args: { topic: v.string(), body: v.string() },
  handler: async (ctx, { topic, body }): Promise<string[]> => {
    await ctx.runMutation(api.notes.add, { topic, body });
    await ctx.scheduler.runAfter(0, api.notes.add, { topic, body: `${body}, scheduled` });
    return await ctx.runQuery(api.notes.list, { topic });
  },
});

export const clearByAction = action({
  args: { topic: v.string() },
  handler: async (ctx, args): Promise<number> => await ctx.runMutation(internal.notes.clear, args),
});
