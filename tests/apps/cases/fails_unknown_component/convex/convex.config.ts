import { defineApp } from "convex/server";
import unknown from "@convex-dev/unknown/convex.config";

const app = defineApp();
app.use(unknown);
export default app;
