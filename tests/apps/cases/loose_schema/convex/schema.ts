import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema(
  { rows: defineTable({ key: v.string() }).index("by_key", ["key"]) },
  { schemaValidation: false },
);
