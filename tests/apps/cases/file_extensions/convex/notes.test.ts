import { query } from "./_generated/server";

throw new Error("tests are not deployed");
export const name = query({ args: {}, handler: async () => "test" });
