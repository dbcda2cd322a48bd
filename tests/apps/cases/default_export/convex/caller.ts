import { api } from "./_generated/api";
import { action } from "./_generated/server";

export const call = action({
  args: {},
  handler: async (ctx): Promise<unknown[]> => [
    await ctx.runQuery(api.answer.default),
    await ctx.runQuery(api.deep.answer.default),
  ],
});
