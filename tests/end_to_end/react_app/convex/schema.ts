import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  entries: defineTable({ room: v.string(), number: v.number() }).index("by_room", ["room", "number"]),
});
