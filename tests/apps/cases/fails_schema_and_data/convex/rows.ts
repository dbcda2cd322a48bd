import { mutation } from "./_generated/server";

export const put = mutation(async (ctx, { row }: { row: any }) => {
  await ctx.db.insert("rows" as any, row);
});
