import { ConvexError, v } from "convex/values";
import { internal } from "./_generated/api";
import { action, internalMutation } from "./_generated/server";

export const add = internalMutation({
  args: { n: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("numbers", args);
    return (await ctx.db.query("numbers").collect()).length;
  },
});

export const failing = internalMutation({
  args: {},
  handler: async (ctx) => {
    await ctx.db.insert("numbers", { n: 0 });
    throw new Error("no such work");
  },
});

export const twice = action({
  args: { n: v.number() },
  handler: async (ctx, args): Promise<number> => {
    await ctx.runMutation(internal.work.add, args);
    return await ctx.runMutation(internal.work.add, args);
  },
});

export const caught = action({
  args: {},
  handler: async (ctx) => {
    try {
      await ctx.runMutation(internal.work.failing);
      return "not thrown";
    } catch (error) {
      return (error as Error).message.match(/Uncaught Error: no such work/)?.[0];
    }
  },
});

export const wait = action({
  args: {},
  handler: async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return "waited";
  },
});

export const fail = action({
  args: {},
  handler: async () => {
    throw new Error("work:fail failed");
  },
});

export const data = action({
  args: {},
  handler: async () => {
    console.warn("about to fail");
    throw new ConvexError({ code: 7 });
  },
});
