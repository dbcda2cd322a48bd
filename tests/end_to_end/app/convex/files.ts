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

/** What the blob says of itself, a part, and a copy that is stored without reading it here. */
export const copyByAction = action({
  args: { id: v.id("_storage"), start: v.number(), end: v.number() },
  handler: async (ctx, { id, start, end }) => {
    const blob = (await ctx.storage.get(id))!;
    const part = blob.slice(start, end);
    return {
      size: blob.size,
      type: blob.type,
      bytes: [...new Uint8Array(await part.slice(0, 4).arrayBuffer())],
      copy: await ctx.storage.store(blob.slice(start, end, "image/part")),
    };
  },
});

/** Deletes the file while it reads it. */
export const deleteWhileReading = action({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }) => {
    const reader = (await ctx.storage.get(id))!.stream().getReader();
    await reader.read();
    await ctx.storage.delete(id);
    for (;;) if ((await reader.read()).done) return "all of it";
  },
});

/** The whole file through the action, piece by piece. */
export const countByAction = action({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }) => {
    let size = 0;
    const stream = (await ctx.storage.get(id))!.stream();
    for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) size += chunk.length;
    return size;
  },
});
