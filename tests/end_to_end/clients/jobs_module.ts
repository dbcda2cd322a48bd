import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalAction, internalMutation, mutation, query } from "./_generated/server";

/** Schedules numbered jobs, all due at once or after a delay; every tenth is an action. */
export const plan = mutation({
  args: { first: v.number(), count: v.number(), delayMs: v.number() },
  handler: async (ctx, { first, count, delayMs }) => {
    for (let number = first; number < first + count; number++) {
      const job = number % 10 === 9 ? internal.jobs.act : internal.jobs.mark;
      await ctx.scheduler.runAfter(delayMs, job, { number });
    }
  },
});

export const mark = internalMutation({
  args: { number: v.number() },
  handler: async (ctx, { number }) => {
    await ctx.db.insert("notes", { topic: "jobs", body: `${number}` });
  },
});

export const begin = internalMutation({
  args: { number: v.number() },
  handler: async (ctx, { number }) => {
    await ctx.db.insert("notes", { topic: "begun", body: `${number}` });
  },
});

/** Tells that it has begun, and takes long enough for some kill to come before it ends. */
export const act = internalAction({
  args: { number: v.number() },
  handler: async (ctx, args) => {
    await ctx.runMutation(internal.jobs.begin, args);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await ctx.runMutation(internal.jobs.mark, args);
  },
});

export const marks = query({
  args: { topic: v.string(), after: v.union(v.string(), v.null()) },
  handler: async (ctx, { topic, after }) =>
    await ctx.db
      .query("notes")
      .withIndex("by_topic", (range) => range.eq("topic", topic))
      .paginate({ numItems: 2000, cursor: after }),
});

/** Numbers, states and errors of jobs that have not succeeded, page by page. */
export const unsuccessful = query({
  args: { after: v.union(v.string(), v.null()) },
  handler: async (ctx, { after }) => {
    const page = await ctx.db.system
      .query("_scheduled_functions")
      .paginate({ numItems: 2000, cursor: after });
    return {
      ...page,
      page: page.page
        .filter(({ state }) => state.kind !== "success")
        .map(({ args, state }) => [
          (args[0] as { number: number }).number,
          state.kind,
          state.kind === "failed" ? state.error : "",
        ]),
    };
  },
});
