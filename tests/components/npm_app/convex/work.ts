import { ActionRetrier } from "@convex-dev/action-retrier";
import { Crons } from "@convex-dev/crons";
import { WorkflowManager } from "@convex-dev/workflow";
import { Workpool } from "@convex-dev/workpool";
import { v } from "convex/values";
import { components, internal } from "./_generated/api";
import { internalAction, internalMutation, mutation } from "./_generated/server";

const retrier = new ActionRetrier(components.actionRetrier, { initialBackoffMs: 10 });
const crons = new Crons(components.crons);
const pool = new Workpool(components.pool, { maxParallelism: 2 });
const workflows = new WorkflowManager(components.workflow);

export const failTwice = internalAction({
  args: {},
  handler: async (ctx) => {
    const count = await ctx.runMutation(internal.work.countAttempt, {});
    if (count < 3) throw new Error(`attempt ${count}`);
  },
});

export const countAttempt = internalMutation({
  args: {},
  handler: async (ctx): Promise<number> => {
    await ctx.db.insert("events", { text: "attempt" });
    const events = await ctx.db.query("events").collect();
    return events.filter(({ text }) => text === "attempt").length;
  },
});

export const retry = mutation({
  args: {},
  handler: async (ctx) => {
    await retrier.run(ctx, internal.work.failTwice, {});
  },
});

export const registerCron = mutation({
  args: {},
  handler: async (ctx) => {
    await crons.register(ctx, { kind: "interval", ms: 1000 }, internal.events.record, {
      text: "cron",
    }, "tick");
  },
});

export const deleteCron = mutation({
  args: {},
  handler: async (ctx) => await crons.delete(ctx, { name: "tick" }),
});

export const greet = internalAction({
  args: { name: v.string() },
  handler: async (ctx, { name }): Promise<string> => {
    await ctx.runMutation(internal.events.record, { text: `greeted ${name}` });
    return `hello ${name}`;
  },
});

export const finished = pool.defineOnComplete({
  context: v.string(),
  handler: async (ctx, { context, result }) => {
    const text = `${context} ${result.kind}`;
    await ctx.runMutation(internal.events.record, { text });
  },
});

export const enqueue = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    await pool.enqueueAction(
      ctx,
      internal.work.greet,
      { name },
      { onComplete: internal.work.finished, context: `pool ${name}` },
    );
  },
});

export const greetAndRecord = workflows
  .define({ args: { name: v.string() } })
  .handler(async (step, { name }): Promise<void> => {
    const greeting = await step.runAction(internal.work.greet, { name });
    await step.runMutation(internal.events.record, { text: `workflow: ${greeting}` });
  });

export const startWorkflow = mutation({
  args: { name: v.string() },
  handler: async (ctx, args) => {
    await workflows.start(ctx, internal.work.greetAndRecord, args);
  },
});
