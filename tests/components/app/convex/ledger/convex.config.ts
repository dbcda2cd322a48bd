import { defineComponent } from "convex/server";
import { v } from "convex/values";
import archive from "../archive/convex.config";

const component = defineComponent("ledger", { env: { WORD: v.optional(v.string()) } });
component.use(archive, { httpPrefix: "/archive/" });

export default component;
