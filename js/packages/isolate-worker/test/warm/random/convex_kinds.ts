/** Validators, functions, schemas and references of the convex package, as apps hold them. */
import type { Kind } from "./kind.ts";

export const CONVEX_KINDS: readonly Kind[] = [
  {
    declare: [
      "const { v: v@ } = convex; const @ = v@.object({ a: v@.number(), b: v@.optional(v@.array(v@.union(v@.string(), v@.null()))) });",
      "const { v: v@ } = convex; const @ = v@.union(v@.literal('x'), v@.record(v@.string(), v@.any()), v@.id('items'));",
      "const { v: v@ } = convex; const @ = v@.array(v@.object({ k: v@.bytes(), n: v@.int64() }));",
    ],
    use: [
      "@.kind",
      "JSON.stringify(@.json)",
      "@.isConvexValidator",
      "v@.optional(@).isOptional",
      "v@.object({ inner: @, n: v@.float64() }).json",
      "Object.keys(@.fields ?? {})",
      "@.members?.length",
      "@.omit?.('a').json",
      "@.extend?.({ c: v@.id('t') }).json",
      "@.partial?.().json",
      "convex.asObjectValidator(@).kind",
      "v@.object({ bad: 1 }).json",
      "v@.literal(undefined).json",
      "(console.log(@.kind, v@.string()), 0)",
      "convex.convexToJson({ a: 1n, b: new ArrayBuffer(2), c: NaN, d: [null, -0] })",
      "convex.jsonToConvex({ a: { $integer: 'AQAAAAAAAAA=' }, b: { $bytes: 'AAE=' } })",
      "convex.convexToJson({ bad: new Date(0) })",
      "convex.convexToJson({ $bad: 1 })",
      "convex.compareValues?.([1, 'a'], [1n])",
      "convex.paginationOptsValidator.json",
    ],
    write: ["(@.left = 1)", "(@.json.left = 1)", "delete @.kind"],
  },
  {
    declare: [
      "const { ConvexError: @ } = convex;",
      "const { ConvexError: C@ } = convex; class @ extends C@ { constructor(data) { super(data); this.name = 'Own'; } }",
      "const { ConvexError: C@ } = convex; class @ extends C@ { #hidden = 1; name = 'Field'; get hidden() { return this.#hidden; } }",
    ],
    use: [
      "new @('text').message",
      "new @({ a: [1n] }).data",
      "(() => { throw new @({ code: 4 }); })()",
      "String(new @(null))",
      "Object.keys(new @(1))",
      "new @(1) instanceof convex.ConvexError",
      "(console.warn(new @({ deep: { er: 1 } })), 0)",
    ],
    write: ["(@.prototype.left = 1)"],
    later: ["Promise.reject(new @('rejected'))"],
  },
  {
    declare: [
      "let n@ = 0; const @ = convex.queryGeneric({ args: { a: convex.v.number() }, returns: convex.v.any(), handler: async (ctx, { a }) => { n@ += a; return [n@, Object.keys(ctx)]; } });",
      "const cache@ = new Map(); const @ = convex.queryGeneric(async (ctx, args) => { const id = 'id' + args.a; if (!cache@.has(id)) cache@.set(id, await ctx.db.get(id)); return [cache@.size, cache@.get(id)]; });",
      "let calls@ = []; const @ = convex.mutationGeneric({ handler: async (ctx, args) => { calls@ = [...calls@, args.a]; try { return await ctx.db.insert('items', { text: 'made', calls: calls@ }); } catch (e) { return e.message; } } });",
      "const @ = convex.queryGeneric({ args: {}, handler: async ({ db }) => { const found = []; for await (const doc of db.query('items').withIndex('by_text', (q) => q.eq('text', 'a')).order('desc')) found.push(doc); return found; } });",
      "const @ = convex.internalMutationGeneric({ handler: async ({ db, scheduler, auth, storage }, args) => { const who = await auth.getUserIdentity(); await db.patch('id', { n: 1 }); await scheduler.runAfter(5, convex.makeFunctionReference('a:b'), { who }); return [who, await db.delete('gone').catch((e) => e.message)]; } });",
    ],
    use: [
      "[@.isQuery, @.isMutation, @.isPublic, @.isInternal]",
      "@.exportArgs()",
      "@.exportReturns()",
      "typeof @",
      "@({}, {})",
    ],
    write: ["(@.left = 1)", "(@.invokeQuery = 1)"],
    later: [
      "(@.invokeQuery ?? @.invokeMutation)('[{\"a\":1}]')",
      "(@.invokeQuery ?? @.invokeMutation)('[{\"a\":2}]')",
      "(@.invokeQuery ?? @.invokeMutation)('bad')",
      "Promise.all([1, 2].map((a) => (@.invokeQuery ?? @.invokeMutation)(JSON.stringify([{ a }]))))",
    ],
  },
  {
    declare: [
      "const @ = convex.defineSchema({ items: convex.defineTable({ text: convex.v.string() }).index('by_text', ['text']).searchIndex('s', { searchField: 'text' }), users: convex.defineTable(convex.v.any()) });",
      "const @ = convex.defineTable(convex.v.object({ a: convex.v.number() })).index('by_a', ['a']);",
    ],
    use: [
      "@.export()",
      "Object.keys(@.tables ?? {})",
      "convex.defineTable({ n: convex.v.int64() }).index('by_n', ['n']).export().indexes.length",
      "@[' indexes']?.().length",
    ],
    write: ["@.index?.('later', ['a']).export().indexes.length", "(@.tables.left = 1)"],
  },
  {
    declare: [
      "const @ = convex.anyApi;",
      "const @ = convex.componentsGeneric();",
      "const @ = { a: { b: convex.makeFunctionReference('a:b') } };",
    ],
    use: [
      "convex.getFunctionName(@.a.b)",
      "typeof @.x.y.z",
      "convex.getFunctionName(convex.makeFunctionReference('q:r'))",
      "convex.getFunctionName(@.a)",
      "convex.filterApi(@) === @",
    ],
    write: ["(@.a = 1)", "JSON.stringify(@)"],
  },
  {
    declare: [
      "const @ = convex.httpRouter(); @.route({ path: '/a', method: 'GET', handler: convex.httpActionGeneric(async () => null) });",
      "const @ = convex.cronJobs(); @.interval('tick', { seconds: 5 }, convex.makeFunctionReference('a:b'));",
    ],
    use: [
      "@.getRoutes?.().length",
      "@.lookup?.('/a', 'GET')?.[1]",
      "JSON.stringify(@.crons ?? {})",
      "convex.httpRouter().getRoutes()",
      "convex.cronJobs().export()",
    ],
    write: ["(@.left = 1)", "(@.crons ?? {}).left = 1"],
  },
];
