import { defineApp } from "convex/server";
import one from "./one/convex.config";

const app = defineApp();
app.use(one);
export default app;
