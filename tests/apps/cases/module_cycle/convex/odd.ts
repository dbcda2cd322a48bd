import { v } from "convex/values";
import { query } from "./_generated/server";
import { even } from "./even";

export const odd = (n: number): boolean => n !== 0 && even(n - 1);
export const isOdd = query({ args: { n: v.number() }, handler: async (_, { n }) => odd(n) });
