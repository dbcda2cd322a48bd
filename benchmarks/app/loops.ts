// What the question about endless loops calls beside the others' queries.
import { queryGeneric as query } from "convex/server";
import { v } from "convex/values";

/** A `nonce` that differs each time keeps any query cache out. */
export const forever = query({
  args: { nonce: v.number() },
  handler: async () => {
    for (;;);
  },
});
