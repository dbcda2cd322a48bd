import { defineApp } from "convex/server";
import { v } from "convex/values";
import ledger from "./ledger/convex.config";

const app = defineApp({ env: { GREETING: v.optional(v.string()) } });
app.use(ledger, { name: "first", env: { WORD: app.env.GREETING }, httpPrefix: "/books/first" });
app.use(ledger, { name: "second", env: { WORD: "fixed" } });

export default app;
