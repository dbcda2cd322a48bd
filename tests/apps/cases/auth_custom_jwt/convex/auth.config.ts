import type { AuthConfig } from "convex/server";

export default {
  providers: [
    {
      type: "customJwt",
      issuer: "https://issuer.test",
      jwks: process.env.JWT_KEYS!,
      algorithm: "RS256",
    },
  ],
} satisfies AuthConfig;
