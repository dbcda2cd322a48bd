import { query } from "./_generated/server";

export const one = query({ args: {}, handler: async () => "one" });
export const two = query({ args: {}, handler: async () => "two" });
