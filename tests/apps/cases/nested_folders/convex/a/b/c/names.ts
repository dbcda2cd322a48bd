import { query } from "../../../_generated/server";

export const own = query({ args: {}, handler: async () => "a/b/c" });
