import { ShardedCounter } from "@convex-dev/sharded-counter";
import { v } from "convex/values";
import { components } from "./_generated/api";
import { mutation, query } from "./_generated/server";

const counter = new ShardedCounter(components.shardedCounter, { defaultShards: 4 });

export const add = mutation({
  args: { name: v.string(), amount: v.number() },
  handler: async (ctx, { name, amount }) => await counter.add(ctx, name, amount),
});

export const count = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => await counter.count(ctx, name),
});
