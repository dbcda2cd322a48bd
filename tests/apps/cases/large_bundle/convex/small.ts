import { query } from "./_generated/server";

export const size = query({ args: {}, handler: async () => 0 });
