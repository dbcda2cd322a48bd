import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  items: defineTable({
    name: v.string(),
    price: v.optional(v.number()),
    tags: v.optional(v.array(v.object({ label: v.string() }))),
    colour: v.optional(v.literal("red")),
    other: v.optional(v.id("loose")),
    counts: v.optional(v.record(v.string(), v.int64())),
    size: v.optional(v.union(v.number(), v.object({ width: v.number() }))),
  }),
  loose: defineTable(v.any())
    .index("by_a_b", ["a", "b"])
    .index("staged", { fields: ["b"], staged: true })
    .searchIndex("by_text", { searchField: "text" }),
});
