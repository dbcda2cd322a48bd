import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({ _rows: defineTable({ size: v.number() }) });
