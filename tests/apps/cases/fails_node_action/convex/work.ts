"use node";

import { hostname } from "node:os";
import { action } from "./_generated/server";

export const host = action({ args: {}, handler: async () => hostname() });
