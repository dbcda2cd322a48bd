import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();

http.route({
  path: "/hello",
  method: "GET",
  handler: httpAction(async (_, request) => {
    const name = new URL(request.url).searchParams.get("name");
    return new Response(`Hello ${name}`, { headers: { "X-Own": "yes" } });
  }),
});

http.route({
  pathPrefix: "/files/",
  method: "PUT",
  handler: httpAction(async (_, request) => {
    const path = new URL(request.url).pathname;
    return new Response(`${path}: ${await request.text()}`, { status: 201 });
  }),
});

http.route({
  path: "/throws",
  method: "GET",
  handler: httpAction(async () => {
    throw new Error("on purpose");
  }),
});

http.route({
  path: "/stored",
  method: "POST",
  handler: httpAction(async (ctx, request) => {
    const count = await ctx.runMutation(internal.rows.add, { text: await request.text() });
    return new Response(String(count));
  }),
});

export default http;
