import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  posts: defineTable({ author: v.string(), title: v.string() }).index("author", ["author"]),
  counts: defineTable({ count: v.number() }),
});
