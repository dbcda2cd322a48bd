import { internalQuery, mutation, query } from "./_generated/server";

export const first = internalQuery({
  args: {},
  handler: async (ctx) => (await ctx.db.system.query("_storage").first())?._id ?? null,
});

export const described = query({
  args: {},
  handler: async (ctx) => {
    const files = await ctx.db.system.query("_storage").collect();
    return files.map(({ size, contentType }) => ({ size, contentType }));
  },
});

export const hasUrl = query({
  args: {},
  handler: async (ctx) => {
    const file = await ctx.db.system.query("_storage").first();
    return (await ctx.storage.getUrl(file!._id)) !== null;
  },
});

export const remove = mutation({
  args: {},
  handler: async (ctx) => {
    const file = await ctx.db.system.query("_storage").first();
    await ctx.storage.delete(file!._id);
  },
});
