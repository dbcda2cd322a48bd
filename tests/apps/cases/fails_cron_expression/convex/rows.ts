import { internalMutation } from "./_generated/server";

export const tidy = internalMutation({ args: {}, handler: async () => {} });
