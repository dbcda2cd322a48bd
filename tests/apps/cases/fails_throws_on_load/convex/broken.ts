import { query } from "./_generated/server";
import { measure } from "./lib/measure";

const size = measure(({} as { text: string }).text);
export const broken = query({ handler: async () => size });
