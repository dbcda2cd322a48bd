import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ size: v.number(), color: v.string() })
    .index("by_size", ["size"])
    .index("by_size", ["color"]),
});
