import { readFileSync } from "node:fs";
import { query } from "./_generated/server";

export const broken = query({ handler: async () => readFileSync("/etc/hostname").length });
