import { api } from "./_generated/api";
import { action } from "./_generated/server";

export { one as uno } from "./origin";

export const callAll = action({
  args: {},
  handler: async (ctx): Promise<string[]> => [
    await ctx.runQuery(api.some.uno),
    await ctx.runQuery(api.all.two),
  ],
});
