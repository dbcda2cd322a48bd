import { paginationOptsValidator } from "convex/server";
import { v } from "convex/values";
import { api } from "./_generated/api";
import { action, mutation, query } from "./_generated/server";

export const fill = mutation({
  args: { count: v.number() },
  handler: async (ctx, args) => {
    for (let n = 0; n < args.count; n++) await ctx.db.insert("rows", { n });
  },
});

export const page = query({
  args: { paginationOpts: paginationOptsValidator },
  handler: async (ctx, args) =>
    await ctx.db.query("rows").withIndex("by_n").paginate(args.paginationOpts),
});

export const walk = action({
  args: { size: v.number() },
  handler: async (ctx, args): Promise<number[][]> => {
    const pages: number[][] = [];
    let cursor: string | null = null;
    for (;;) {
      const found: any = await ctx.runQuery(api.rows.page, {
        paginationOpts: { numItems: args.size, cursor },
      });
      pages.push(found.page.map((row: { n: number }) => row.n));
      if (found.isDone) return pages;
      cursor = found.continueCursor;
    }
  },
});
