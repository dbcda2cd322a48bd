import { query } from "./_generated/server";

export const name = query({ handler: async () => "never" });
