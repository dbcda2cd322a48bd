import { api } from "../_generated/api";
import { action, query } from "../_generated/server";

export const own = query({ args: {}, handler: async () => "a" });

export const all = action({
  args: {},
  handler: async (ctx): Promise<string[]> => [
    await ctx.runQuery(api.a.names.own, {}),
    await ctx.runQuery(api.a.b.c.names.own, {}),
  ],
});
