import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import { kinds } from "./validators";

export const put = mutation({
  args: kinds,
  returns: v.null(),
  handler: async (ctx, args) => {
    await ctx.db.insert("kinds", args);
    return null;
  },
});

export const all = query({
  args: {},
  returns: v.array(v.object(kinds)),
  handler: async (ctx) => {
    const found = await ctx.db.query("kinds").collect();
    return found.map(({ _id, _creationTime, ...rest }) => rest);
  },
});

export const echoOne = query({
  args: { value: v.float64() },
  returns: v.float64(),
  handler: async (_, args) => args.value,
});

export const wrongResult = query({
  args: {},
  returns: v.string(),
  handler: async () => 1 as unknown as string,
});

export const isId = query({ args: { id: v.id("kinds") }, handler: async () => true });
