import { TableAggregate } from "@convex-dev/aggregate";
import { Migrations } from "@convex-dev/migrations";
import { v } from "convex/values";
import { components, internal } from "./_generated/api";
import type { DataModel } from "./_generated/dataModel";
import { mutation, query } from "./_generated/server";

const byScore = new TableAggregate<{ Key: number; DataModel: DataModel; TableName: "scores" }>(
  components.aggregate,
  { sortKey: (document) => document.score, sumValue: (document) => document.score },
);

export const add = mutation({
  args: { player: v.string(), score: v.number() },
  handler: async (ctx, args) => {
    const id = await ctx.db.insert("scores", args);
    await byScore.insert(ctx, (await ctx.db.get(id))!);
  },
});

export const summary = query({
  args: {},
  handler: async (ctx) => ({
    count: await byScore.count(ctx),
    sum: await byScore.sum(ctx),
    above: await byScore.count(ctx, { bounds: { lower: { key: 15, inclusive: true } } }),
    best: (await byScore.max(ctx))?.key ?? null,
  }),
});

export const migrations = new Migrations<DataModel>(components.migrations);
export const setRank = migrations.define({
  table: "scores",
  batchSize: 2,
  migrateOne: (_ctx, document) => ({ rank: document.score > 15 ? "high" : "low" }),
});

export const migrate = mutation({
  args: {},
  handler: async (ctx) => {
    await migrations.runOne(ctx, internal.scores.setRank);
  },
});

export const ranks = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("scores").collect()).map(({ rank }) => rank ?? null),
});
