import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({
    state: v.union(v.literal("open"), v.literal("done")),
    count: v.optional(v.int64()),
    data: v.object({ tags: v.array(v.string()) }),
  }).index("by_state", ["state"]),
});
