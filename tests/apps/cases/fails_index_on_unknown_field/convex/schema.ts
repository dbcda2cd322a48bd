import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ size: v.number() }).index("by_color", ["color" as any]),
});
