import { query } from "./_generated/server";

export const broken = query({
  handler async () => 1,
});
