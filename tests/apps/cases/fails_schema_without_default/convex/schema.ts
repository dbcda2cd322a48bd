import { defineSchema } from "convex/server";

export const schema = defineSchema({});
