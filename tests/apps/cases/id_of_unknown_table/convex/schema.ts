import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({ books: defineTable({ author: v.id("authors") }) });
