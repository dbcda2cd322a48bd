import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();

http.route({
  path: "/store",
  method: "POST",
  handler: httpAction(async (ctx, request) => new Response(await ctx.storage.store(await request.blob()))),
});

http.route({
  path: "/read",
  method: "GET",
  handler: httpAction(async (ctx) => {
    const id = await ctx.runQuery(internal.files.first);
    const blob = id && (await ctx.storage.get(id));
    return blob ? new Response(blob) : new Response("gone", { status: 404 });
  }),
});

export default http;
