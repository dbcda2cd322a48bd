import { v } from "convex/values";

export const kinds = {
  any: v.any(),
  array: v.array(v.string()),
  bool: v.boolean(),
  bytes: v.bytes(),
  int: v.int64(),
  literal: v.literal("yes"),
  literalInt: v.literal(7n),
  nothing: v.null(),
  number: v.number(),
  object: v.object({ deep: v.object({ text: v.string() }) }),
  record: v.record(v.string(), v.number()),
  text: v.string(),
  union: v.union(v.string(), v.boolean()),
  nullable: v.nullable(v.string()),
  optional: v.optional(v.id("kinds")),
};
