import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

/** Every kind of validator, shared by the table `strict` and the functions of `typed.ts`. */
export const everyKind = {
  string: v.string(),
  float: v.number(),
  int: v.int64(),
  bool: v.boolean(),
  nothing: v.null(),
  bytes: v.bytes(),
  anything: v.any(),
  literal: v.union(v.literal("red"), v.literal(7), v.literal(true)),
  list: v.array(v.union(v.string(), v.null())),
  maybe: v.optional(v.string()),
  nullable: v.nullable(v.number()),
  record: v.record(v.string(), v.number()),
  nested: v.object({ inner: v.optional(v.array(v.object({ deep: v.int64() }))) }),
  shape: v.union(
    v.object({ kind: v.literal("circle"), radius: v.number() }),
    v.object({ kind: v.literal("text"), text: v.string(), size: v.optional(v.number()) }),
  ),
  reference: v.optional(v.id("loose")),
};

export default defineSchema({
  // Mixed types in every indexed field.
  loose: defineTable(v.any())
    .index("by_a", ["a"])
    .index("by_a_b", ["a", "b"])
    .index("by_b_c_a", ["b", "c", "a"])
    .index("by_inner", ["d.x", "d.y"]),
  strict: defineTable(everyKind).index("by_string", ["string"]),
});
