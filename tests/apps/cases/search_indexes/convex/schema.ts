import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  texts: defineTable({ body: v.string(), embedding: v.array(v.float64()) })
    .searchIndex("by_body", { searchField: "body" })
    .vectorIndex("by_embedding", { vectorField: "embedding", dimensions: 2 }),
});
