import { text as own } from "@lib/text";
import { text as other } from "@shared/text";
import { query } from "./_generated/server";

export const joined = query({ args: {}, handler: async () => `${own}, ${other}` });
