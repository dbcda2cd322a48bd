import { query } from "./_generated/server";
import { nothing } from "./other";

export const broken = query({ handler: async () => nothing });
