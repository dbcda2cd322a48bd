/** Drives two instances of one local component, each with a component of its own. */
import { createFunctionHandle, getServiceToken } from "convex/server";
import { v } from "convex/values";
import { components, internal } from "./_generated/api";
import { action, internalMutation, mutation, query } from "./_generated/server";

const entry = { account: v.string(), amount: v.number() };

export const add = mutation({
  args: entry,
  handler: async (ctx, args): Promise<string> =>
    await ctx.runMutation(components.first.entries.add, args),
});

export const totals = query({
  args: { account: v.string() },
  handler: async (ctx, args): Promise<number[]> => [
    await ctx.runQuery(components.first.entries.total, args),
    await ctx.runQuery(components.second.entries.total, args),
  ],
});

export const getById = query({
  args: { id: v.string() },
  handler: async (ctx, { id }) => await ctx.runQuery(components.first.entries.get, { id }),
});

export const notes = query({
  args: {},
  handler: async (ctx) => await ctx.runQuery(components.first.entries.notes, {}),
});

export const survive = mutation({
  args: entry,
  handler: async (ctx, args) => {
    await ctx.db.insert("entries", { text: "before" });
    let message = "";
    try {
      await ctx.runMutation(components.first.entries.addAndFail, args);
    } catch (error) {
      message = (error as Error).message;
    }
    await ctx.runMutation(components.second.entries.add, args);
    return message;
  },
});

export const whoami = query({
  args: {},
  handler: async (ctx): Promise<unknown> => ({
    app: (await ctx.auth.getUserIdentity())?.subject ?? null,
    first: await ctx.runQuery(components.first.entries.whoami, {}),
    second: await ctx.runQuery(components.second.entries.whoami, {}),
  }),
});

export const addLater = mutation({
  args: entry,
  handler: async (ctx, args) => {
    await ctx.runMutation(components.second.entries.addLater, args);
    await ctx.scheduler.runAfter(0, components.first.entries.add, args);
  },
});

/** Names of scheduled functions in the app's own table, and in those of its components. */
export const jobs = query({
  args: { account: v.string() },
  handler: async (ctx, args): Promise<string[][]> => {
    const own = await ctx.db.system.query("_scheduled_functions").collect();
    return [
      own.filter((job) => job.args[0].account === args.account).map(({ name }) => name),
      await ctx.runQuery(components.first.entries.jobs, args),
      await ctx.runQuery(components.second.entries.jobs, args),
    ];
  },
});

export const addThen = mutation({
  args: { ...entry, isLater: v.boolean() },
  handler: async (ctx, args): Promise<string> => {
    const then: string = await createFunctionHandle(internal.ledgers.remember);
    await ctx.runMutation(components.first.entries.addThen, { ...args, then });
    return then;
  },
});

export const remember = internalMutation({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    await ctx.db.insert("entries", { text });
  },
});

export const remembered = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("entries").collect()).map(({ text }) => text),
});

export const addFromActions = action({
  args: entry,
  handler: async (ctx, args): Promise<number[]> => [
    await ctx.runAction(components.first.entries.addFromAction, args),
    await ctx.runAction(components.second.entries.addFromAction, args),
  ],
});

export const uploadUrl = mutation({
  args: {},
  handler: async (ctx): Promise<string> =>
    await ctx.runMutation(components.first.files.uploadUrl, {}),
});

export const fileUrls = query({
  args: { id: v.string() },
  handler: async (ctx, args): Promise<(string | null)[]> => [
    await ctx.runQuery(components.first.files.url, args),
    await ctx.runQuery(components.second.files.url, args).catch(() => null),
  ],
});

export const countFiles = query({
  args: {},
  handler: async (ctx): Promise<number[]> => [
    (await ctx.db.system.query("_storage").collect()).length,
    await ctx.runQuery(components.first.files.count, {}),
    await ctx.runQuery(components.second.files.count, {}),
  ],
});

const claims = { aud: "somebody", sub: "me" };

export const tokens = mutation({
  args: {},
  handler: async (ctx): Promise<string[]> => [
    await ctx.auth.signJwt({ claims, expiresInSeconds: 60 }),
    await ctx.runMutation(components.first.entries.sign, {}),
  ],
});

export const managedService = action({
  args: {},
  handler: async () => await getServiceToken("ai-gateway").catch((error: Error) => error.message),
});

export const reachInside = query({
  args: {},
  handler: async (ctx) => {
    const inside = components.first.entries as unknown as Record<string, never>;
    return await ctx.runQuery(inside["addInternally"]!, {});
  },
});
