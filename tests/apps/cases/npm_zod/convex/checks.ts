import { v } from "convex/values";
import { z } from "zod";
import { mutation, query } from "./_generated/server";

const person = z.object({ age: z.number().int().min(0), tags: z.array(z.string()).default([]) });

export const email = query({
  args: { text: v.string() },
  handler: async (_, args) => z.email().safeParse(args.text).success,
});

export const parse = mutation({
  args: { value: v.any() },
  handler: async (_, args) => person.parse(args.value),
});
