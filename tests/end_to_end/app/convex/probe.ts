import { ConvexError, v } from "convex/values";
import { action, internalQuery, query } from "./_generated/server";

export const echo = query({
  args: { value: v.any() },
  handler: async (_ctx, { value }) => value,
});

export const whoAmI = query({
  args: {},
  handler: async (ctx) => await ctx.auth.getUserIdentity(),
});

export const hidden = internalQuery({ args: {}, handler: async () => "only for insiders" });

export const fail = query({
  args: {},
  handler: async () => {
    throw new Error("the developer made a mistake");
  },
});

export const refuse = query({
  args: {},
  handler: async () => {
    throw new ConvexError({ code: "refused", attempts: 3 });
  },
});

export const speak = query({
  args: {},
  handler: async () => {
    console.log("spoken", { number: 1 });
    return null;
  },
});

export const speakByAction = action({
  args: { value: v.any() },
  handler: async (_ctx, { value }) => {
    console.warn("acted", value);
    return value;
  },
});

/** Module state and chance: equal for equal requests only if each execution starts fresh. */
let calls = 0;
export const now = query({ args: {}, handler: async () => Date.now() });

export const countCalls = query({ args: {}, handler: async () => ++calls });
