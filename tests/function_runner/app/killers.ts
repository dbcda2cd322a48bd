/** One call of the engine that nothing stops: the process that makes it is lost. */
import { mutationGeneric as mutation } from "./functions";

export const arrayBomb = mutation({
  args: {},
  handler: async (ctx) => {
    await ctx.db.insert("bombs", {});
    return new Array(1e9).fill(1).length;
  },
});
