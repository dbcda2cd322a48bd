import { query } from "./_generated/server";

export const broken = query({ args: { name: "string" as any }, handler: async () => 1 });
