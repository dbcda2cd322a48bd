import { query } from "./_generated/server";

throw new Error("on purpose");
export const list = query({ args: {}, handler: async () => [] });
