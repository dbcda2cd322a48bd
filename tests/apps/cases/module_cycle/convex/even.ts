import { v } from "convex/values";
import { query } from "./_generated/server";
import { odd } from "./odd";

export const even = (n: number): boolean => n === 0 || odd(n - 1);
export const isEven = query({ args: { n: v.number() }, handler: async (_, { n }) => even(n) });
