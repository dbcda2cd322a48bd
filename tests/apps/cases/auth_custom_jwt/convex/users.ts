import { query } from "./_generated/server";

export const me = query({
  args: {},
  handler: async (ctx) => {
    const user = await ctx.auth.getUserIdentity();
    return user && { subject: user.subject, issuer: user.issuer, role: user.role };
  },
});
