import { action, query } from "./_generated/server";
import content from "./lib/content.json";

export const read = query({ args: {}, handler: async () => [content.text, content.list.length] });

export const lazy = action({
  args: {},
  handler: async () => (await import("./lib/lazy")).text,
});
