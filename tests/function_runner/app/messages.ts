import {
  action,
  internalQuery,
  mutationGeneric as mutation,
  paginationOptsValidator,
  queryGeneric as query,
} from "./functions";
import { ConvexError, v } from "convex/values";

export const send = mutation({
  args: { author: v.string(), body: v.string() },
  returns: v.id("messages"),
  handler: async (ctx, args) => await ctx.db.insert("messages", args),
});

export const list = query({
  args: { limit: v.optional(v.number()) },
  handler: async (ctx, { limit }) => {
    const rows = await ctx.db.query("messages").order("desc").take(limit ?? 10);
    return rows.map((row) => ({ author: row.author, body: row.body }));
  },
});

export const page = query({
  args: { paginationOpts: paginationOptsValidator },
  handler: async (ctx, args) => await ctx.db.query("messages").paginate(args.paginationOpts),
});

export const edit = mutation({
  args: { id: v.id("messages") },
  handler: async (ctx, { id }) => {
    await ctx.db.patch(id, { body: "edited", extra: 1 });
    await ctx.db.patch(id, { extra: undefined });
    const patched = await ctx.db.get(id);
    await ctx.db.replace(id, { author: "b", body: "replaced" });
    const replaced = await ctx.db.get(id);
    await ctx.db.delete(id);
    const missing = await ctx.db.get(id);
    return { patched: patched!.body, fields: Object.keys(patched!), replaced: replaced!.body, missing };
  },
});

export const firstTwoOf = query({
  args: {},
  handler: async (ctx) => {
    const seen: string[] = [];
    for await (const row of ctx.db.query("messages")) {
      seen.push(row.body);
      if (seen.length === 2) break;
    }
    return seen;
  },
});

export const whoAmI = query({ args: {}, handler: async (ctx) => await ctx.auth.getUserIdentity() });

export const secret = internalQuery({ args: {}, handler: async () => "hidden" });

export const badReturn = mutation({
  args: {},
  returns: v.number(),
  handler: async (ctx) => {
    await ctx.db.insert("messages", { author: "x", body: "never" });
    return "text" as unknown as number;
  },
});

export const fail = query({
  args: {},
  handler: async () => {
    console.log("about to fail", { a: 1 });
    throw new ConvexError({ code: 7n });
  },
});

export const plainError = query({
  args: {},
  handler: async () => {
    throw new Error("broken");
  },
});

export const readEnvironment = query({ args: {}, handler: async () => process.env.GREETING ?? null });

export const clockAndDice = query({
  args: {},
  handler: async () => ({ now: Date.now(), dice: Math.random() }),
});

export const ids = query({
  args: { id: v.string() },
  handler: async (ctx, { id }) => ctx.db.normalizeId("messages", id),
});

export const greet = action({
  args: { name: v.string() },
  handler: async (ctx, { name }): Promise<string> => {
    console.log("in action");
    const id = await ctx.runMutation("messages:send" as any, { author: name, body: "hello" });
    const rows: any[] = await ctx.runQuery("messages:list" as any, {});
    return `${typeof id} ${rows.length}`;
  },
});

export const actionFails = action({
  args: {},
  handler: async (ctx) => {
    try {
      await ctx.runQuery("messages:fail" as any, {});
      return "no";
    } catch (error: any) {
      return String(error.data?.code);
    }
  },
});
