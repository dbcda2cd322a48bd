import { defineSchema, defineTable } from "convex/server";
import { kinds } from "./validators";

export default defineSchema({ kinds: defineTable(kinds) });
