import { query } from "./_generated/server";

export const where = query({ args: {}, handler: async () => "server/functions" });
