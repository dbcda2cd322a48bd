import { paginationOptsValidator } from "convex/server";
import { ConvexError, v } from "convex/values";
import { mutation, query, type QueryCtx } from "./_generated/server";

const inRoom = (ctx: QueryCtx, room: string) =>
  ctx.db.query("entries").withIndex("by_room", (range) => range.eq("room", room));

export const list = query({
  args: { room: v.string() },
  handler: async (ctx, { room }) => {
    if (room === "closed") throw new ConvexError({ reason: "closed" });
    return (await inRoom(ctx, room).collect()).map((entry) => entry.number);
  },
});

export const page = query({
  args: { room: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { room, paginationOpts }) => {
    const found = await inRoom(ctx, room).paginate(paginationOpts);
    return { ...found, page: found.page.map((entry) => entry.number) };
  },
});

export const add = mutation({
  args: { room: v.string(), numbers: v.array(v.number()) },
  handler: async (ctx, { room, numbers }) => {
    if (numbers.includes(13)) throw new ConvexError("unlucky");
    for (const number of numbers) await ctx.db.insert("entries", { room, number });
  },
});

export const remove = mutation({
  args: { room: v.string(), number: v.number() },
  handler: async (ctx, { room, number }) => {
    const entry = await ctx.db
      .query("entries")
      .withIndex("by_room", (range) => range.eq("room", room).eq("number", number))
      .unique();
    await ctx.db.delete(entry!._id);
  },
});

export const whoAmI = query({
  args: {},
  handler: async (ctx) => (await ctx.auth.getUserIdentity())?.name ?? null,
});
