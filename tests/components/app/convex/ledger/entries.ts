import type { FunctionHandle } from "convex/server";
import { v } from "convex/values";
import { api, components, internal } from "./_generated/api";
import { action, internalMutation, mutation, query } from "./_generated/server";

export const add = mutation({
  args: { account: v.string(), amount: v.number() },
  returns: v.id("entries"),
  handler: async (ctx, args) => {
    const id = await ctx.db.insert("entries", args);
    await ctx.runMutation(components.archive.notes.write, { text: `added to ${args.account}` });
    return id;
  },
});

export const total = query({
  args: { account: v.string() },
  returns: v.number(),
  handler: async (ctx, { account }) => {
    const entries = await ctx.db
      .query("entries")
      .withIndex("by_account", (q) => q.eq("account", account))
      .collect();
    return entries.reduce((sum, { amount }) => sum + amount, 0);
  },
});

export const get = query({
  args: { id: v.id("entries") },
  handler: async (ctx, { id }) => await ctx.db.get(id),
});

export const addAndFail = mutation({
  args: { account: v.string(), amount: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("entries", args);
    await ctx.runMutation(components.archive.notes.write, { text: "never" });
    await ctx.scheduler.runAfter(0, internal.entries.addInternally, args);
    throw new Error("no such money");
  },
});

export const notes = query({
  args: {},
  handler: async (ctx): Promise<string[]> =>
    await ctx.runQuery(components.archive.notes.list, {}),
});

export const whoami = query({
  args: {},
  handler: async (ctx) => {
    const identity = await ctx.auth.getUserIdentity();
    return { subject: identity?.subject ?? null, word: process.env.WORD ?? null };
  },
});

export const addLater = mutation({
  args: { account: v.string(), amount: v.number() },
  handler: async (ctx, args) => {
    await ctx.scheduler.runAfter(0, internal.entries.addInternally, args);
  },
});

export const addInternally = internalMutation({
  args: { account: v.string(), amount: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("entries", args);
  },
});

export const sign = mutation({
  args: {},
  handler: async (ctx) => await ctx.auth.signJwt({ expiresInSeconds: 60 }),
});

export const jobs = query({
  args: { account: v.string() },
  handler: async (ctx, { account }): Promise<string[]> => {
    const jobs = await ctx.db.system.query("_scheduled_functions").collect();
    return jobs.filter(({ args }) => args[0].account === account).map(({ name }) => name);
  },
});

export const addThen = mutation({
  args: { account: v.string(), amount: v.number(), then: v.string(), isLater: v.boolean() },
  handler: async (ctx, { then, isLater, ...entry }) => {
    await ctx.db.insert("entries", entry);
    const handle = then as FunctionHandle<"mutation", { text: string }>;
    const args = { text: `${entry.account} has ${entry.amount} more` };
    if (isLater) await ctx.scheduler.runAfter(0, handle, args);
    else await ctx.runMutation(handle, args);
  },
});

export const addFromAction = action({
  args: { account: v.string(), amount: v.number() },
  handler: async (ctx, args): Promise<number> => {
    await ctx.runMutation(internal.entries.addInternally, args);
    await ctx.runMutation(components.archive.notes.write, { text: "by an action" });
    return await ctx.runQuery(api.entries.total, {
      account: args.account,
    });
  },
});
