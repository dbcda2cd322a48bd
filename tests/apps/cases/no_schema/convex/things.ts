import { mutation, query } from "./_generated/server";

export const put = mutation(async (ctx, { thing }: { thing: any }) => {
  await ctx.db.insert("things", thing);
});

export const all = query(async (ctx) => {
  const found = await ctx.db.query("things").collect();
  return found.map(({ _id, _creationTime, ...thing }) => thing);
});
