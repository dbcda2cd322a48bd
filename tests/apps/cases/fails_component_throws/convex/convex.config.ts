import { defineApp } from "convex/server";
import broken from "./broken/convex.config";

const app = defineApp();
app.use(broken);
export default app;
