import { query } from "./_generated/server";

const value = await Promise.resolve(1);
export const broken = query({ handler: async () => value });
