import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ a: v.string(), b: v.number() }).index("by_both", { fields: ["a", "b"], staged: true }),
});
