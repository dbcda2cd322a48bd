import { customCtx, customMutation } from "convex-helpers/server/customFunctions";
import { getManyFrom } from "convex-helpers/server/relationships";
import { Triggers } from "convex-helpers/server/triggers";
import { zCustomMutation } from "convex-helpers/server/zod4";
import { v } from "convex/values";
import { z } from "zod";
import type { DataModel } from "./_generated/dataModel";
import { mutation as plain, query } from "./_generated/server";

const triggers = new Triggers<DataModel>();
triggers.register("posts", async (ctx, change) => {
  const row = await ctx.db.query("counts").first();
  const step = change.operation === "insert" ? 1 : change.operation === "delete" ? -1 : 0;
  if (row === null) await ctx.db.insert("counts", { count: step });
  else await ctx.db.patch(row._id, { count: row.count + step });
});

const counted = customMutation(plain, customCtx(triggers.wrapDB));
const mutation = zCustomMutation(counted as typeof plain, { args: {}, input: async () => ({ ctx: {}, args: {} }) });

export const add = mutation({
  args: { author: z.string(), title: z.string().min(1) },
  handler: async (ctx, args) => {
    await ctx.db.insert("posts", args);
  },
});

export const byAuthor = query({
  args: { author: v.string() },
  handler: async (ctx, args) =>
    (await getManyFrom(ctx.db, "posts", "author", args.author)).map((post) => post.title),
});

export const count = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("counts").first())?.count ?? 0,
});
