import { actionGeneric as action, queryGeneric as query } from "convex/server";
import { v } from "convex/values";
import { everyKind } from "./schema.ts";

export const takes = query({ args: everyKind, handler: async (_ctx, args) => args });

export const takesInAction = action({ args: everyKind, handler: async (_ctx, args) => args });

export const gives = query({
  args: { value: v.any() },
  returns: v.object(everyKind),
  handler: async (_ctx, { value }) => value,
});
