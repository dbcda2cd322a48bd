import { query } from "./_generated/server";

let count = 0;
while (Date.now() > 0) count += 1;
export const broken = query({ handler: async () => count });
