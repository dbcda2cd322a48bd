import { mutation, query } from "./_generated/server";

export const put = mutation(async (ctx, { row }: { row: any }) => {
  await ctx.db.insert("rows", row);
});

export const byKey = query(async (ctx, { key }: { key: any }) => {
  const found = await ctx.db.query("rows").withIndex("by_key", (q) => q.eq("key", key)).collect();
  return found.map(({ _id, _creationTime, ...row }) => row);
});
