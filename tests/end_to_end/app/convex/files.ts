import { v } from "convex/values";
import { api } from "./_generated/api";
import { action, mutation, query } from "./_generated/server";

export const uploadUrl = mutation({
  args: {},
  handler: async (ctx) => await ctx.storage.generateUploadUrl(),
});

export const url = query({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }) => await ctx.storage.getUrl(id),
});

export const describe = query({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }) => {
    const { sha256, size, contentType } = (await ctx.db.system.get(id))!;
    return { sha256, size, contentType, metadata: await ctx.storage.getMetadata(id) };
  },
});

export const remove = mutation({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }) => await ctx.storage.delete(id),
});

export const removeThenFail = mutation({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }) => {
    await ctx.storage.delete(id);
    throw new Error("changed my mind");
  },
});

/** All of it once more, from an action. */
export const urlByAction = action({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }): Promise<(string | null)[]> => [
    await ctx.storage.getUrl(id),
    await ctx.runQuery(api.files.url, { id }),
  ],
});
