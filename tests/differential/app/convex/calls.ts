import {
  actionGeneric as action,
  makeFunctionReference,
  mutationGeneric as mutation,
  queryGeneric as query,
} from "convex/server";
import { ConvexError, v } from "convex/values";
import { page as runPage, resolve, runSteps } from "./interpret.ts";

const references = {
  read: makeFunctionReference<"query">("calls:read"),
  write: makeFunctionReference<"mutation">("calls:write"),
  ConvexError,
};

const STEPS = { steps: v.array(v.any()), ids: v.array(v.string()) };

export const read = query({
  args: STEPS,
  handler: async (ctx, { steps, ids }) =>
    await runSteps(ctx, steps, { ids: [...ids], ctx }, references),
});

export const write = mutation({
  args: { ...STEPS, fail: v.optional(v.any()) },
  handler: async (ctx, { steps, ids: known, fail }) => {
    const ids = [...known];
    const results = await runSteps(ctx, steps, { ids, ctx }, references);
    if (fail !== undefined) throw new ConvexError({ why: fail, results: results.length });
    return { results, ids };
  },
});

export const page = query({
  args: { step: v.any(), options: v.any(), ids: v.array(v.string()) },
  handler: async (ctx, { step, options, ids }) => await runPage(ctx, step, options, ids),
});

/** All documents that clients can reach; the driver follows it live. */
export const everything = query({
  args: {},
  handler: async (ctx) => ({
    loose: await ctx.db.query("loose").collect(),
    strict: await ctx.db.query("strict").order("desc").collect(),
  }),
});

export const clear = mutation({
  args: {},
  handler: async (ctx) => {
    for (const table of ["loose", "strict"]) {
      for (const document of await ctx.db.query(table).collect()) await ctx.db.delete(document._id);
    }
  },
});

/** One transaction for each part; schedules the last part. */
export const act = action({
  args: { parts: v.array(v.any()), ids: v.array(v.string()), scheduled: v.optional(v.any()) },
  handler: async (ctx, { parts, ids: known, scheduled }): Promise<any> => {
    const results = [];
    let ids = [...known];
    for (const part of parts) {
      try {
        if (part.op === "read")
          results.push(await ctx.runQuery(references.read, { ...part.args, ids }));
        else {
          const done: any = await ctx.runMutation(references.write, { ...part.args, ids });
          ids = done.ids;
          results.push(done.results);
        }
      } catch (error: any) {
        results.push({ failed: true, data: error.data ?? null });
      }
    }
    if (scheduled !== undefined) {
      await ctx.scheduler.runAfter(0, references.write, { ...scheduled, ids });
    }
    return { results, ids };
  },
});

/** Schedules in a mutation, and cancels what lies far ahead. */
export const schedule = mutation({
  args: { steps: v.array(v.any()), ids: v.array(v.string()), cancel: v.boolean() },
  handler: async (ctx, { steps, ids, cancel }) => {
    const job = await ctx.scheduler.runAfter(cancel ? 3_600_000 : 0, references.write, {
      steps,
      ids,
    });
    if (cancel) await ctx.scheduler.cancel(job);
    return job;
  },
});

export const job = query({
  args: { id: v.string() },
  handler: async (ctx, { id }) => {
    const found: any = await ctx.db.system.get(id as any);
    if (found === null) return null;
    return { name: found.name.replace(".js", ""), state: found.state, args: found.args };
  },
});

export const echo = query({
  args: { value: v.any(), ids: v.array(v.string()) },
  handler: async (ctx, { value, ids }) => await resolve(value, { ids, ctx }),
});
