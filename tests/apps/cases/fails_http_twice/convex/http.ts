import { httpRouter } from "convex/server";
import { httpAction } from "./_generated/server";

const http = httpRouter();
const handler = httpAction(async () => new Response("a"));

http.route({ path: "/a", method: "GET", handler });

http.route({ path: "/a", method: "GET", handler });

export default http;
