export default {
  providers: [{ domain: process.env.NEVER_SET_DOMAIN, applicationID: "convex" }],
};
