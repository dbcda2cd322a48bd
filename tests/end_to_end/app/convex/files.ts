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

/** Stores a file of so many bytes and reads it back; `sha256` may be wrong. */
export const storeByAction = action({
  args: { size: v.number(), sha256: v.optional(v.string()) },
  handler: async (ctx, { size, sha256 }) => {
    const content = new Uint8Array(size).map((_, index) => index % 251);
    const blob = new Blob([content], { type: "image/png" });
    const id = await ctx.storage.store(blob, sha256 === undefined ? undefined : { sha256 });
    const stored = await ctx.storage.get(id);
    const bytes = new Uint8Array(await stored!.arrayBuffer());
    return { id, type: stored!.type, isSame: bytes.every((byte, at) => byte === content[at]) };
  },
});

export const getByAction = action({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }) => (await ctx.storage.get(id))?.text() ?? null,
});
