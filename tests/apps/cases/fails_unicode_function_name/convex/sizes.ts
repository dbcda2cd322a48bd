import { query } from "./_generated/server";

export const größe = query({ handler: async () => "never" });
