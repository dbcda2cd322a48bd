import { mutation } from "./_generated/server";

export const add = mutation(async (ctx, { author }: { author: any }) => {
  await ctx.db.insert("books", { author });
});
