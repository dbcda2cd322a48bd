import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({ rows: defineTable(v.union(v.object({}), v.string()) as any) });
