import { mutation } from "./_generated/server";

export const put = mutation(async (ctx, { table, row }: { table: any; row: any }) => {
  await ctx.db.insert(table, row);
});
