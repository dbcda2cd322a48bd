import { query } from "./_generated/server";
import { Counter, counter } from "./lib/shared";

export const value = query({
  handler: async () => [counter.next(), counter instanceof Counter],
});
