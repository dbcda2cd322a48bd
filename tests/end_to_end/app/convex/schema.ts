import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  notes: defineTable({ topic: v.string(), body: v.string() }).index("by_topic", ["topic"]),
  runs: defineTable({ cron: v.string() }),
  commits: defineTable({ topic: v.string(), ts: v.commitTs() }).index("by_ts", ["ts"]),
});
