import { query } from "./_generated/server";

export const me = query({
  args: {},
  handler: async (ctx) => {
    const user = await ctx.auth.getUserIdentity();
    return user && { name: user.name, subject: user.subject, tokenIdentifier: user.tokenIdentifier };
  },
});
