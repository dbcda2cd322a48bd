import { v } from "convex/values";
import { action, internalQuery, mutation, query } from "./_generated/server";

export const takes = query({
  args: {
    name: v.string(),
    list: v.optional(v.array(v.number())),
    literal: v.optional(v.literal(7n)),
    record: v.optional(v.record(v.string(), v.object({ deep: v.boolean() }))),
    id: v.optional(v.id("items")),
    union: v.optional(v.union(v.null(), v.bytes())),
  },
  handler: async () => null,
});
/** Of values that are small as JSON and large as a Value: 24 MiB in 2.5 MB of text. */
export const anything = query({ handler: async () => null });
export const gives = query({
  args: {},
  returns: v.object({ count: v.number() }),
  handler: async (): Promise<any> => ({ count: "three" }),
});
export const write = mutation({ args: {}, handler: async () => null });
export const act = action({ args: {}, handler: async () => null });
export const hidden = internalQuery({ args: {}, handler: async () => null });
export const notWrapped = async () => null;
export const never = query({ args: {}, handler: async () => await new Promise(() => {}) });
export const endless = query({
  args: {},
  handler: async () => {
    for (;;);
  },
});
export const givesQuery = query({ args: {}, handler: async (ctx): Promise<any> => ctx.db.query("items") });
export const givesMuch = query({ args: {}, handler: async () => Array(20).fill("x".repeat(1 << 20)) });
export const givesDeep = query({
  args: {},
  handler: async () => {
    let value: any = null;
    for (let depth = 0; depth < 65; depth++) value = [value];
    return value;
  },
});
export const rejects = query({
  args: {},
  handler: async () => {
    void Promise.reject(new Error("nobody waits for me"));
    return null;
  },
});
// The CLI splits its bundle there.
export const imports = query({ args: {}, handler: async () => (await import("./late")).name });
export const importsInAction = action({ args: {}, handler: async () => (await import("./late")).name });
export const meta = query({ args: {}, handler: async () => String((import.meta as any).url) });
export const throwsText = query({
  args: {},
  handler: async () => {
    throw "only text";
  },
});
