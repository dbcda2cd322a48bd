/**
 * Random small programs over everything that may hold state: what they do in realms for many
 * executions must be what they do in fresh contexts. A seed gives the same programs each time.
 */
import { program } from "./program.ts";
import type { Program } from "./program.ts";

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to below `limit` (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}

/** State of a module: its declaration, and expressions that read and change it as `@`. */
interface Kind {
  declare: readonly string[];
  use: readonly string[];
}

const KINDS: readonly Kind[] = [
  {
    declare: ["let @ = 1;", "var @ = 0;", "let @ = -0;", "let @ = 'a';", "let @;", "let @ = 5n;"],
    use: ["@", "@++", "(@ += 2)", "(@ = null)", "(@ ??= { n: 0 })", "typeof @", "[@ = 7][0]"],
  },
  {
    declare: ["const @ = { a: 1, b: { c: [1, 2] } };", "const @ = Object.create({ a: 1 }, {});"],
    use: [
      "@.a",
      "@.a++",
      "(@.n = 1)",
      "delete @.a",
      "@.b?.c.push(3)",
      "Object.keys(@)",
      "Object.assign(@, { z: 1 })",
      "Object.isFrozen(@)",
      "({ ...@, q: 1 })",
      "Reflect.set(@, 'a', 4)",
      "Object.defineProperty(@, 'd', { value: 1 })",
      "Object.entries(@).length",
      "Object.create(@).a",
      "(() => { const o = Object.create(@); o.a = 5; return o.a; })()",
      "structuredClone(@)",
      "JSON.stringify(@)",
      "Object.getOwnPropertyDescriptor(@, 'a')",
    ],
  },
  {
    declare: ["const @ = [3, 1, 2];", "const @ = Object.freeze([1, 2]);", "const @ = [[1], [2]];"],
    use: [
      "@.length",
      "@.push(4)",
      "@.pop()",
      "@.sort()",
      "@.toSorted()",
      "(@.length = 0)",
      "(@[0] = 9)",
      "@.map((x) => x)",
      "[...@].reverse()",
      "@.at(-1)",
      "@.indexOf(1)",
      "Array.prototype.push.call(@, 1)",
      "@.concat([1]).length",
      "@.entries().next().value",
    ],
  },
  {
    declare: [
      "const @ = new Map([['a', 1], ['b', { n: 0 }]]);",
      "const @ = new Map();",
      "class M@ extends Map {} const @ = new M@([['x', 1]]);",
    ],
    use: [
      "@.size",
      "[...@.keys()]",
      "@.set('a', (@.get('a') ?? 0) + 1).size",
      "@.set('k', 1).size",
      "@.delete('a')",
      "@.clear()",
      "@.get('b')?.n",
      "@.get('b').n++",
      "@.has('k')",
      "new Map(@).set('z', 1).size",
      "Map.prototype.set.call(@, 'c', 1).size",
      "Map.groupBy([1, 2, 3], (x) => x % 2).size",
    ],
  },
  {
    declare: ["const @ = new Set([1, 2, 3]);", "const @ = new Set();"],
    use: [
      "@.size",
      "[...@]",
      "@.add(2).size",
      "@.add(9).size",
      "@.delete(1)",
      "@.clear()",
      "@.union(new Set([7])).size",
      "@.isSubsetOf(new Set([1, 2, 3, 4]))",
    ],
  },
  {
    declare: [
      "const k@ = {}; const @ = new WeakMap([[k@, 1]]); const h@ = () => k@;",
      "const k@ = {}; const @ = new WeakMap(); const h@ = () => k@;",
    ],
    use: ["@.get(h@())", "@.set(h@(), 2).has(h@())", "@.delete(h@())", "@.has(h@())"],
  },
  {
    declare: [
      "const @ = (() => { let n = 0; return { next: () => n++, reset: () => (n = 0) }; })();",
      "const @ = ((n) => ({ next: () => n++, reset() { n = 4; } }))(2);",
      "const @ = (function () { return { next: () => arguments.length, reset: () => this }; })(1);",
    ],
    use: ["@.next()", "@.reset()", "(@.next(), @.next())", "@.next.name", "(@.extra = 1)"],
  },
  {
    declare: [
      "class C@ { #n = 0; static s = 1; static #p = 2; p = { q: 1 }; inc() { return ++this.#n; } get n() { return this.#n; } set n(v) { this.#n = v; } static up() { return C@.#p++; } has(o) { return #n in o; } } const @ = new C@();",
      "class B@ { x = 1; } class C@ extends B@ { #n = (1, 5); static s = []; inc() { return this.#n++; } get n() { return super.toString === undefined; } set n(v) { this.x = v; } static up() { return C@.s.push(1); } has(o) { return o instanceof B@; } } const @ = new C@();",
    ],
    use: [
      "@.inc()",
      "new C@().inc()",
      "@.n",
      "(@.n = 3)",
      "(new C@().n = 3)",
      "C@.s",
      "(C@.s = 5)",
      "C@.up()",
      "@.has(new C@())",
      "@.p?.q",
      "Object.keys(new C@())",
      "(() => { const c = new C@(); c.inc = () => 'own'; return c.inc(); })()",
      "(C@.prototype.inc = () => 0)",
      "new (class extends C@ { y = this.inc(); })().y",
    ],
  },
  {
    declare: [
      "const @ = { v: 1, get g() { return this.v; }, set g(x) { this.v = x; } };",
      "let w@ = 1; const @ = { get g() { return w@; }, set g(x) { w@ = x; } };",
    ],
    use: [
      "@.g",
      "(@.g = 2)",
      "@.g++",
      "Object.assign({}, @)",
      "@.__lookupGetter__('g') === undefined",
    ],
  },
  {
    declare: [
      "const @ = new Proxy({}, { get: (_, k) => (typeof k === 'string' ? k.length : undefined), has: () => true });",
    ],
    use: ["@.abc", "'x' in @", "(@.y = 1)", "Object.keys(@)", "delete @.z", "new Proxy(@, {}).ab"],
  },
  {
    declare: ["const @ = /a(b)?/g;", "const @ = /[ab]/y;", "const @ = /x|a/dg;"],
    use: [
      "@.test('ab')",
      "@.lastIndex",
      "@.exec('aab')?.index",
      "'cab'.replace(@, '-')",
      "[...'ababa'.matchAll(new RegExp(@, 'g'))].length",
      "(@.lastIndex = 1)",
      "(@.extra = 1)",
      "@.source",
      "'a'.search(@)",
      "RegExp.$1",
    ],
  },
  {
    declare: ["const y@ = Symbol('y'); const @ = { [y@]: 1, [Symbol.toPrimitive]: () => 4 };"],
    use: ["@[y@]", "(@[y@] = 2)", "`${@}`", "+@", "Object.getOwnPropertySymbols(@).length"],
  },
  {
    declare: [
      "class @ extends Error { constructor(m) { super(m); this.name = 'Bad'; this.code = 3; } }",
      "class @ extends TypeError { name = 'Bad'; get message() { return 'got'; } }",
      "class @ extends Error { constructor(m) { super(); this.message = m; Object.setPrototypeOf(this, new.target.prototype); } }",
      "function @(m) { const e = new Error(m); e.name = 'Made'; return e; }",
    ],
    use: [
      "new @('m').name",
      "String(new @('m'))",
      "new @('m').stack.split('\\n').length > 1",
      "(() => { try { throw new @('in'); } catch (e) { return Object.keys(e); } })()",
      "(() => { try { throw new @('in'); } finally { out.push('fin'); } })()",
      "Object.hasOwn(new @('m'), 'name')",
      "new @('m') instanceof Error",
      "(@.count = 1)",
      "new @('m').stack",
    ],
  },
  {
    declare: [
      "function* @() { let i = 0; try { while (i < 3) yield i++; } finally { out@ = i; } } let out@ = null;",
      "let out@ = 0; const @ = function* (a = out@++) { yield a; yield* [1, 2]; };",
    ],
    use: [
      "[...@()]",
      "@().next().value",
      "(([a]) => a)(@())",
      "out@",
      "@().map((x) => x + 1).toArray()",
    ],
  },
  {
    declare: [
      "const @ = (a = [...'xy'].length, { b = a + 1, ['c' + a]: c = 0 } = {}, ...r) => [a, b, c, r];",
      "const d@ = { n: 0 }; const @ = (a = d@.n, b = (() => d@)()) => [a, b.n];",
      "const d@ = { n: 0 }; const @ = (a = d@.n++) => a;",
    ],
    use: ["@()", "@(1)", "@(undefined, { b: 2, c2: 3 })", "@.length", "[0].map(() => @())"],
  },
  {
    declare: ["const @ = (texts, ...values) => texts.raw.join('|') + values.join();"],
    use: [
      "@`a${1}b`",
      "((t) => Object.isFrozen(t))([])",
      "((t) => t)`x`.length",
      "@.call(null, { raw: ['r'] })",
    ],
  },
  {
    declare: ["let @ = 'https://a.b/c?d=e';"],
    use: [
      "new URL(@).search",
      "new URL('x', 'https://q.r').href",
      "[...new URLSearchParams({ a: 1 })]",
      "(() => { const u = new URL(@); u.searchParams.append('k', 'v'); return (@ = u.href); })()",
      "URL.canParse(@ + 'x')",
      "new URL('::')",
      "new URLSearchParams('a=1').forEach((v, k) => out.push(v + k))",
    ],
  },
];

/** Uses of what all programs share. */
const SHARED: readonly string[] = [
  "Math.random()",
  "Date.now()",
  "new Date(5).toISOString()",
  "new Uint8Array([1, 2, 300]).join()",
  "new Uint8Array(4).fill(7).subarray(1).length",
  "[...new TextEncoder().encode('é')]",
  "new TextDecoder().decode(new Uint8Array([104, 105]))",
  "crypto.randomUUID()",
  "btoa('x') + atob('eA==')",
  "(Object.prototype.left ?? null)",
  "(Object.prototype.left = 1)",
  "(Array.prototype.left = 1)",
  "([].left ?? null)",
  "(globalThis.left ?? null)",
  "(globalThis.left = 1)",
  "(Math.left = 1)",
  "(() => { const o = {}; o.toString = () => 'own'; return `${o}`; })()",
  "(() => { const o = {}; o.valueOf = () => 3; return o + 1; })()",
  "(() => { const f = () => 1; f.left = 2; return f.left; })()",
  "(() => { const f = () => 1; f.call = 2; return f.call; })()",
  "(() => { const e = new RangeError('r'); e.name = 'Own'; return String(e); })()",
  "(() => { const e = new Error('r'); e.message = 'own'; return String(e) + Object.keys(e); })()",
  "(() => { out: for (const i of [1, 2]) { for (;;) { if (i > 1) break out; continue out; } } return 'l'; })()",
  "(() => { switch (2) { case 1: let a = 1; case 2: a = 3; return a; } })()",
  "(() => null.x)()",
  "undefined()",
  "new Promise({})",
  "Object.setPrototypeOf({}, 1)",
  "(() => { const o = Object.freeze({ a: 1 }); o.a = 2; })()",
  "Object.freeze({ a: 1 }).a",
  "Object.isFrozen(Object.freeze({}))",
  "Symbol.for('left').description",
  "new Intl.NumberFormat('en').format(1234.5)",
  "'ß'.toUpperCase() + 'İ'.toLowerCase().length",
  "JSON.parse('{\"a\":[1]}', (k, v) => (k === 'a' ? 2 : v))",
  "(console.log('line', { a: 1 }), 0)",
  "(console.warn([1, new Map([[1, 2]])]), 0)",
  "[3, 1, 2].sort((a, b) => a - b)",
  "Object.fromEntries([['a', 1]])",
  "((...args) => args.length)(...[1, 2])",
  "new Error('s').stack",
  "[1].map(() => new Error('s').stack)[0]",
  "structuredClone(new Map([[1, { a: [1] }]]))",
  "new WeakRef(out).deref() === out",
  "process.env.NONE ?? 'none'",
  "queueMicrotask(() => out.push('later'))",
];

/** Code around an expression `%`, which may swallow what it throws. */
const WRAPS: readonly string[] = [
  "out.push(show(%));",
  "out.push(show(%));",
  "out.push(show(%));",
  "try { out.push(show(%)); } catch (e) { out.push(show(e)); }",
  "try { %; } catch { out.push('swallowed'); }",
  "out.push((() => { try { return show(%); } catch {} finally { return 'finally'; } })());",
  "out.push(await Promise.resolve().then(() => show(%)).catch(() => 'caught'));",
  "out.push(await (async () => show(%))().catch((e) => show(e)));",
  "out.push(show(await Promise.allSettled([(async () => %)()])));",
  "out.push(await Promise.any([(async () => show(%))(), Promise.reject(1)]).catch((e) => e.constructor.name));",
  "out.push(show([...(function* () { yield %; })()]));",
  "for await (const x of (async function* () { yield show(%); })()) out.push(x);",
  "out.push(show(((a = %) => a)()));",
  "out.push(await Promise.resolve().then((_, a = %) => show(a)).catch(() => 'parameter'));",
  "out.push(show((({ [`k${show(%)}`]: a = 1 }) => a)({})));",
  "try { for (const x of { [Symbol.iterator]() { return this; }, next: () => ({ done: false }), return(a = %) { return {}; } }) throw new Error('body'); } catch (e) { out.push(show(e)); }",
  "out.push(show({ get x() { return %; } }.x));",
  "out.push(show(await { then(resolve) { resolve(show(%)); } }));",
  "out.push(await new Promise((resolve) => { resolve('first'); %; }));",
  "out.push(show([1, 2].map(() => show(%))));",
  "out.push(JSON.stringify({ toJSON: () => show(%) }));",
  "out.push(`${{ [Symbol.toPrimitive]: () => show(%) }}`);",
  "out.push(show(new (class { f = %; static { out.push('static'); } })().f));",
  "out.push(show(new Proxy({}, { get: () => show(%) }).any));",
  "out.push(show([2, 1].sort((a, b) => (show(%), a - b))));",
  "out.push(show(((t) => t[0] + show(%))`tag`));",
  "out.push(await Promise.resolve(0).then((() => show(%)).bind(null)).finally(() => out.push('end')));",
  "void (async () => { await null; out.push(show(%)); })().catch(() => {});",
  "label: { out.push(show(%)); break label; }",
];

/** Statements that go through the engine's own functions only. */
const NATIVE: readonly string[] = [
  "out.push(await Promise.resolve(1).then(Array.prototype.push.bind(@)).then(show, () => 'native'));",
  "out.push(await Promise.resolve(@).then(Object.freeze).then(show, () => 'native'));",
  "out.push(show(Reflect.apply(Array.prototype.push, @, [1])));",
  "const f% = Function.prototype.call.bind(Array.prototype.push); try { out.push(f%(@, 1)); } catch { out.push('native'); }",
];

const SHOW = `const show = (v, depth = 0) => {
  if (typeof v === "function") return "function " + v.name + v.length;
  if (typeof v === "symbol" || typeof v === "bigint" || v === undefined) return String(v);
  if (typeof v === "number") return Object.is(v, -0) ? "-0" : String(v);
  if (v === null || typeof v !== "object") return JSON.stringify(v);
  if (v instanceof Error) return v.name + ": " + v.message;
  if (depth > 3) return "…";
  if (v instanceof Map || v instanceof Set) return v.constructor.name + show([...v], depth + 1);
  return (Array.isArray(v) ? "" : Object.prototype.toString.call(v)) + "{" +
    Reflect.ownKeys(v).map((k) => String(k) + ":" + show(v[k], depth + 1)).join() + "}";
};`;

/** Marks in templates are filled from the back: a use may hold a `%` of its own. */
const fill = (template: string, mark: string, text: string): string =>
  template.split(mark).join(text);

export function generate(random: Random, name: string): Program {
  const kinds = Array.from({ length: 1 + random.below(4) }, () => random.pick(KINDS));
  const declarations = kinds.map(({ declare }, index) =>
    fill(random.pick(declare), "@", `s${index}`),
  );
  const statements = Array.from({ length: 1 + random.below(5) }, (_, place) => {
    const index = random.below(kinds.length);
    const { use } = kinds[index] as Kind;
    if (random.below(12) === 0) {
      return fill(fill(random.pick(NATIVE), "@", `s${index}`), "%", String(place));
    }
    const isShared = random.below(4) === 0;
    const used = isShared ? random.pick(SHARED) : fill(random.pick(use), "@", `s${index}`);
    return fill(random.pick(WRAPS), "%", used);
  });
  const ends = ["return out;", "return out;", "return out;", "throw new Error(show(out));"];
  const run = `const out = []; ${SHOW}\n${statements.join("\n")}\n${random.pick(ends)}`;
  return program(name, declarations.join("\n"), run);
}
