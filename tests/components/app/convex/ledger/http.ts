/** What a parent may mount of a ledger. */
import { httpRouter } from "convex/server";
import { api, internal } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();

http.route({
  path: "/entries",
  method: "POST",
  handler: httpAction(async (ctx, request) => {
    const { account, amount } = (await request.json()) as { account: string; amount: number };
    console.log(`adding to ${account}`);
    await ctx.runMutation(internal.entries.addInternally, { account, amount });
    return Response.json(await ctx.runQuery(api.entries.total, { account }));
  }),
});

http.route({
  pathPrefix: "/whoami/",
  method: "GET",
  handler: httpAction(async (ctx, request) =>
    Response.json({
      url: request.url,
      site: process.env.CONVEX_SITE_URL,
      word: process.env.WORD ?? null,
      user: await ctx.auth.getUserIdentity(),
    }),
  ),
});

export default http;
