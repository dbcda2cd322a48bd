import { query as define } from "./_generated/server";

export const query = define({ args: {}, handler: async () => "query" });
