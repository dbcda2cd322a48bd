import { httpRouter } from "convex/server";
import { ConvexError } from "convex/values";
import { api } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();
const route = (
  method: "GET" | "POST" | "OPTIONS" | "PUT",
  path: string,
  handler: Parameters<typeof httpAction>[0],
) => http.route({ method, path, handler: httpAction(handler) });

/** What the action sees of its request. */
http.route({
  pathPrefix: "/echo/",
  method: "POST",
  handler: httpAction(async (_ctx, request) => {
    const { method, url } = request;
    const headers = Object.fromEntries(request.headers.entries());
    const body = await request.text();
    return Response.json(
      { method, url, headers, body },
      { status: 201, headers: [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]] },
    );
  }),
});

route("GET", "/hello", async () => new Response("hello"));
route("GET", "/nothing", async () => new Response(null, { status: 204 }));

route("OPTIONS", "/hello", async (_ctx, request) => {
  const origin = request.headers.get("Origin") ?? "";
  return new Response(null, { headers: { "Access-Control-Allow-Origin": origin } });
});

route("GET", "/who", async (ctx) => Response.json(await ctx.auth.getUserIdentity()));

route("GET", "/fails", async () => {
  console.log("before the failure");
  throw new Error("no luck");
});

route("GET", "/refuses", async () => {
  throw new ConvexError({ reason: "full" });
});

route("GET", "/returnsText", async () => "text" as unknown as Response);

/** Mutation, query and action, one after the other. */
route("POST", "/post", async (ctx, request) => {
  const { topic, body } = await request.json();
  await ctx.runMutation(api.notes.add, { topic, body });
  await ctx.scheduler.runAfter(0, api.notes.add, { topic, body: "scheduled" });
  return Response.json(await ctx.runQuery(api.notes.list, { topic }));
});

/** Answers each chunk of the request when it comes. */
route("POST", "/upper", async (_ctx, request) => {
  const upper = new TransformStream<string, string>({
    transform: (text, controller) => controller.enqueue(text.toUpperCase()),
  });
  const body = request
    .body!.pipeThrough(new TextDecoderStream())
    .pipeThrough(upper)
    .pipeThrough(new TextEncoderStream());
  return new Response(body, { headers: { "Content-Type": "text/plain" } });
});

/** Never ends; writes down when its client has left. */
route("GET", "/ticks", async (ctx, request) => {
  const topic = new URL(request.url).searchParams.get("topic")!;
  const note = (body: string) => ctx.runMutation(api.notes.add, { topic, body });
  let left: (value: unknown) => void;
  const leaving = new Promise((resolve) => (left = resolve));
  request.signal.addEventListener("abort", () => left(note("aborted")));
  const encoder = new TextEncoder();
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode("tick\n")),
    pull: () => leaving.then(() => {}),
    cancel: async () => {
      await leaving;
      await note("cancelled");
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
});

/** As many bytes as asked for, made while they are read. */
route("GET", "/bytes", async (_ctx, request) => {
  let rest = Number(new URL(request.url).searchParams.get("count"));
  const body = new ReadableStream({
    pull(controller) {
      const size = Math.min(rest, 65_536);
      if (size === 0) return controller.close();
      rest -= size;
      controller.enqueue(new Uint8Array(size));
    },
  });
  return new Response(body);
});

route("GET", "/breaks", async () => {
  let isFirst = true;
  const body = new ReadableStream({
    pull(controller) {
      if (!isFirst) throw new Error("the source dried up");
      isFirst = false;
      controller.enqueue(new TextEncoder().encode("begin"));
    },
  });
  return new Response(body);
});

route("POST", "/length", async (_ctx, request) => {
  let length = 0;
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length;
  }
  return Response.json(length);
});

route("POST", "/ignores", async () => new Response("not read"));

/** Files: takes one, and serves it or a part of it. */
route("PUT", "/file", async (ctx, request) =>
  Response.json({ id: await ctx.storage.store(await request.blob()) }),
);

route("GET", "/file", async (ctx, request) => {
  const blob = await ctx.storage.get(new URL(request.url).searchParams.get("id")!);
  if (blob === null) return new Response("there is no such file", { status: 404 });
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("Range") ?? "");
  if (range === null) return new Response(blob);
  const [start, end] = [Number(range[1]), Number(range[2])];
  return new Response(blob.slice(start, end + 1, blob.type), { status: 206 });
});

export default http;
