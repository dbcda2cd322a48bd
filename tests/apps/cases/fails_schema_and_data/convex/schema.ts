import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

void [defineTable, v];
export default defineSchema({});
