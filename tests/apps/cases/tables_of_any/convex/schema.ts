import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema(
  {
    anything: defineTable(v.any()),
    shapes: defineTable(
      v.union(
        v.object({ kind: v.literal("circle"), radius: v.number() }),
        v.object({ kind: v.literal("square"), side: v.number() }),
      ),
    ),
  },
  { strictTableNameTypes: false },
);
