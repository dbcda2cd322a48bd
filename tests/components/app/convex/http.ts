/** The app's own routes beside those of its components. */
import { httpRouter } from "convex/server";
import { httpAction } from "./_generated/server";

const http = httpRouter();
http.route({
  path: "/books/first/own",
  method: "GET",
  handler: httpAction(async () => new Response("of the app")),
});
export default http;
