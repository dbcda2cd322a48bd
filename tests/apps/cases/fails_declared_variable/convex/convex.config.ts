import { defineApp } from "convex/server";
import { v } from "convex/values";

export default defineApp({ env: { NEVER_SET_SECRET: v.string() } });
