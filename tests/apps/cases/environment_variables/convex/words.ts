import { query } from "./_generated/server";

const atLoad = process.env.GREETING ?? null;

export const read = query({
  args: {},
  handler: async () => [atLoad, process.env.GREETING ?? null, process.env.UNKNOWN ?? null],
});

export const urls = query({
  args: {},
  handler: async () => [
    process.env.CONVEX_CLOUD_URL!.startsWith("http://"),
    process.env.CONVEX_SITE_URL!.startsWith("http://"),
  ],
});
