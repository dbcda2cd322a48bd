import { query } from "./_generated/server";

export const name = query({ args: {}, handler: async () => "users" });
