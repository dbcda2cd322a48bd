import { log } from "convex/server";
import { v } from "convex/values";
import { action, mutation, query } from "./_generated/server";

export const look = query({
  args: { topic: v.string() },
  handler: async (_ctx, { topic }) => {
    const source = { ip: log.vars.ip, agent: log.vars.userAgent, actor: log.vars.convexActor };
    await log.audit({ action: "looked", topic, source, at: log.vars.now });
    return topic;
  },
});

export const refuse = mutation({
  args: { topic: v.string() },
  handler: async (_ctx, { topic }) => {
    await log.audit({ action: "refused", topic });
    throw new Error("no");
  },
});

export const byAction = action({
  args: {},
  handler: async () => await log.audit({ action: "acted" }),
});
