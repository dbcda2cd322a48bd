import { internal } from "./_generated/api";
import { action, internalAction, internalMutation, internalQuery, query } from "./_generated/server";

export const hidden = internalQuery({ args: {}, handler: async () => "hidden" });
export const change = internalMutation({ args: {}, handler: async () => "changed" });
export const act = internalAction({ args: {}, handler: async () => "acted" });

export const reveal = action({
  args: {},
  handler: async (ctx): Promise<string[]> => [
    await ctx.runQuery(internal.secrets.hidden),
    await ctx.runMutation(internal.secrets.change),
    await ctx.runAction(internal.secrets.act),
  ],
});

export const inline = query({
  args: {},
  handler: async (ctx): Promise<string> => await ctx.runQuery(internal.secrets.hidden),
});
