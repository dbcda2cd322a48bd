import { query } from "./_generated/server";

export const named = query({ args: {}, handler: async () => 42 });
export default named;
