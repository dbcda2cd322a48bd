import { v } from "convex/values";
import { query } from "./_generated/server";

export const list = query({
  args: { limit: v.optional(v.number()) },
  returns: v.array(v.object({ tags: v.array(v.string()) })),
  handler: async () => [],
});
