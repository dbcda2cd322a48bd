// One developer's mistake per name; what the client is told is in test_error_texts.py.
import { makeFunctionReference } from "convex/server";
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

const MEBIBYTE = 1 << 20;
const self = makeFunctionReference<"mutation">("mistakes:inMutation");
const selfQuery = makeFunctionReference<"query">("mistakes:inQuery");

const nested = (depth: number) => {
  let value: any = 1;
  for (let level = 0; level < depth; level++) value = { in: value };
  return value;
};
const range = (ctx: any, bounds: (q: any) => any) => ctx.db.query("loose").withIndex("by_a_b", bounds).collect();
const filter = async (ctx: any, expression: (q: any) => any) => {
  await ctx.db.insert("loose", { number: 1, int: 9223372036854775807n, text: "a" });
  return await ctx.db.query("loose").filter(expression).collect();
};
const page = (ctx: any, options: any) => ctx.db.query("items").paginate({ cursor: null, ...options });
const inserted = async (ctx: any) => {
  const id = await ctx.db.insert("items", { name: "x" });
  await ctx.db.delete(id);
  return id;
};

const mistakes: Record<string, (ctx: any) => Promise<any>> = {
  // Ids
  getNonsense: (ctx) => ctx.db.get("nonsense"),
  getLetters: (ctx) => ctx.db.get("u".repeat(32)),
  getChecksum: async (ctx) => {
    const id = await ctx.db.insert("items", { name: "x" });
    return await ctx.db.get(id.slice(0, -1) + (id.endsWith("0") ? "1" : "0"));
  },
  getOtherTable: async (ctx) => ctx.db.get("loose", await ctx.db.insert("items", { name: "x" })),
  getSystem: async (ctx) => ctx.db.get(await ctx.scheduler.runAfter(3_600_000, self, { name: "none" })),
  getUserAsSystem: async (ctx) => ctx.db.system.get(await ctx.db.insert("items", { name: "x" })),
  deleteSystem: async (ctx) => ctx.db.delete(await ctx.scheduler.runAfter(3_600_000, self, { name: "none" })),
  patchMissing: async (ctx) => ctx.db.patch(await inserted(ctx), { name: "y" }),
  replaceMissing: async (ctx) => ctx.db.replace(await inserted(ctx), { name: "y" }),
  deleteMissing: async (ctx) => ctx.db.delete(await inserted(ctx)),
  patchOtherTable: async (ctx) => ctx.db.patch("loose", await ctx.db.insert("items", { name: "x" }), {}),
  // Documents
  insertId: async (ctx) => ctx.db.insert("loose", { _id: await ctx.db.insert("loose", {}) }),
  insertTime: (ctx) => ctx.db.insert("loose", { _creationTime: 1 }),
  insertUnderscore: (ctx) => ctx.db.insert("loose", { _mine: 1 }),
  insertDollar: (ctx) => ctx.db.insert("loose", { $mine: 1 }),
  insertFieldName: (ctx) => ctx.db.insert("loose", { "\u00e9": 1 }),
  insertArray: (ctx) => ctx.db.insert("loose", [1]),
  insertSystemTable: (ctx) => ctx.db.insert("_mine", {}),
  insertTableName: (ctx) => ctx.db.insert("no-name", {}),
  insertVirtual: (ctx) => ctx.db.insert("_storage", {}),
  insertLarge: (ctx) => ctx.db.insert("loose", { text: "x".repeat(MEBIBYTE) }),
  insertDeep: (ctx) => ctx.db.insert("loose", nested(17)),
  insertLongArray: (ctx) => ctx.db.insert("loose", { list: Array(8193).fill(null) }),
  insertManyFields: (ctx) =>
    ctx.db.insert("loose", { object: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [`f${i}`, 1])) }),
  // Schema
  schemaMissing: (ctx) => ctx.db.insert("items", {}),
  schemaExtra: (ctx) => ctx.db.insert("items", { name: "x", more: 1 }),
  schemaType: (ctx) => ctx.db.insert("items", { name: 1 }),
  schemaPath: (ctx) => ctx.db.insert("items", { name: "x", tags: [{ label: "a" }, { label: null }] }),
  schemaLiteral: (ctx) => ctx.db.insert("items", { name: "x", colour: "blue" }),
  schemaId: async (ctx) => ctx.db.insert("items", { name: "x", other: await ctx.db.insert("items", { name: "y" }) }),
  schemaSystemId: async (ctx) =>
    ctx.db.insert("items", { name: "x", other: await ctx.scheduler.runAfter(3_600_000, self, { name: "none" }) }),
  schemaRecord: (ctx) => ctx.db.insert("items", { name: "x", counts: { a: 1 } }),
  schemaUnion: (ctx) => ctx.db.insert("items", { name: "x", size: { width: "wide" } }),
  schemaPatch: async (ctx) => ctx.db.patch(await ctx.db.insert("items", { name: "x" }), { name: undefined }),
  // Ranges
  rangeTwoEqual: (ctx) => range(ctx, (q) => q.eq("a", 1).eq("a", 2)),
  rangeTwoLower: (ctx) => range(ctx, (q) => q.gt("a", 1).gte("a", 2)),
  rangeTwoUpper: (ctx) => range(ctx, (q) => q.lt("a", "x").lte("a", "y")),
  rangeTwoFields: (ctx) => range(ctx, (q) => q.gt("a", 1).lt("b", 2)),
  rangeUnknownField: (ctx) => range(ctx, (q) => q.eq("c", 1)),
  rangeOrder: (ctx) => range(ctx, (q) => q.eq("b", 1)),
  indexUnknown: (ctx) => ctx.db.query("loose").withIndex("missing").collect(),
  indexStaged: (ctx) => ctx.db.query("loose").withIndex("staged").collect(),
  indexSearch: (ctx) => ctx.db.query("loose").withIndex("by_text").collect(),
  // Filters
  filterAdd: (ctx) => filter(ctx, (q) => q.eq(q.add(q.field("number"), q.field("text")), 1)),
  filterOverflow: (ctx) => filter(ctx, (q) => q.eq(q.add(q.field("int"), 1n), 1)),
  filterZero: (ctx) => filter(ctx, (q) => q.eq(q.div(q.field("int"), 0n), 1)),
  filterBoolean: (ctx) => filter(ctx, (q) => q.and(q.field("number"), true)),
  operators: (ctx) => {
    let many = ctx.db.query("items");
    for (let count = 0; count < 257; count++) many = many.filter((q: any) => true);
    return many.collect();
  },
  uniqueTwo: async (ctx) => {
    for (const number of [1, 2]) await ctx.db.insert("loose", { a: "twice", number });
    return await ctx.db.query("loose").withIndex("by_a_b", (q: any) => q.eq("a", "twice")).unique();
  },
  // Pages
  pageZero: (ctx) => page(ctx, { numItems: 0 }),
  pageLarge: (ctx) => page(ctx, { numItems: 32001 }),
  pageTwice: async (ctx) => [await page(ctx, { numItems: 1 }), await page(ctx, { numItems: 1 })],
  pageNonsense: (ctx) => page(ctx, { numItems: 1, cursor: "nonsense" }),
  // Limits of one transaction
  manyWrites: async (ctx) => {
    await Promise.all(Array.from({ length: 16001 }, () => ctx.db.insert("loose", {})));
  },
  muchWritten: async (ctx) => {
    for (let count = 0; count < 17; count++) await ctx.db.insert("loose", { text: "x".repeat(MEBIBYTE - 100) });
  },
  manyRanges: async (ctx) => {
    const one = (a: number) => ctx.db.query("loose").withIndex("by_a_b", (q: any) => q.eq("a", a)).first();
    await Promise.all(Array.from({ length: 4097 }, (_, a) => one(a)));
  },
  manyScheduled: async (ctx) => {
    for (let count = 0; count < 1001; count++) await ctx.scheduler.runAfter(3_600_000, self, { name: "none" });
  },
  muchScheduled: async (ctx) => {
    for (let count = 0; count < 17; count++) await ctx.scheduler.runAfter(3_600_000, self, { name: "x".repeat(MEBIBYTE) });
  },
  deepCalls: (ctx) => ctx.runMutation(self, { name: "deepCalls" }),
  // Other functions
  rawInsertInQuery: async () => {
    const host = (globalThis as any).Convex;
    return JSON.parse(await host.asyncSyscall("1.0/insert", JSON.stringify({ table: "loose", value: {} })));
  },
  rawUnknownQuery: async () => {
    const call = { queryId: 99, version: "1.48.0" };
    return JSON.parse(await (globalThis as any).Convex.asyncSyscall("1.0/queryStreamNext", JSON.stringify(call)));
  },
  rawUnknownOperation: async () => (globalThis as any).Convex.asyncSyscall("1.0/nothing", "{}"),
  rawMutationInQuery: async () => {
    const call = { udfType: "mutation", name: "mistakes:inMutation", args: { name: "none" }, version: "1.48.0" };
    return JSON.parse(await (globalThis as any).Convex.asyncSyscall("1.0/runUdf", JSON.stringify(call)));
  },
  queryAsMutation: (ctx) => ctx.runMutation(selfQuery, { name: "none" }),
  missingFunction: (ctx) => ctx.runQuery(makeFunctionReference<"query">("nowhere:fn"), {}),
  nestedMistake: (ctx) => ctx.runQuery(selfQuery, { name: "getNonsense" }),
  scheduleMissingModule: (ctx) => ctx.scheduler.runAfter(0, makeFunctionReference<"mutation">("nowhere:fn"), {}),
  scheduleMissingFunction: (ctx) => ctx.scheduler.runAfter(0, makeFunctionReference<"mutation">("mistakes:fn"), {}),
  scheduleFar: (ctx) => ctx.scheduler.runAt(Date.now() + 6 * 366 * 86_400_000, self, { name: "none" }),
  schedulePast: (ctx) => ctx.scheduler.runAt(1, self, { name: "none" }),
  cancelOther: async (ctx) => ctx.scheduler.cancel(await ctx.db.insert("items", { name: "x" })),
  // What only actions may do
  fetch: async () => await fetch("http://127.0.0.1:1"),
  timeout: async () => await new Promise((resolve) => setTimeout(resolve, 1)),
  evaluation: async () => new Function("return 1")(),
  none: async () => null,
};

export const inMutation = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }) => (await mistakes[name](ctx)) ?? null,
});

export const inQuery = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => (await mistakes[name](ctx)) ?? null,
});

/** The error as code that catches it sees it. */
export const caught = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    try {
      await mistakes[name](ctx);
      return null;
    } catch (error: any) {
      return { message: error.message, data: error.data ?? null };
    }
  },
});

export const pageFrom = query({
  args: { table: v.string(), cursor: v.union(v.string(), v.null()) },
  handler: async (ctx, { table, cursor }) =>
    await ctx.db.query(table as "items").paginate({ cursor, numItems: 1 }),
});
