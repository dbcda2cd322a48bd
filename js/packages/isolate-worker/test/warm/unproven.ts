import { program } from "./program.ts";
import type { Program } from "./program.ts";

/** Programs whose import leaves what cannot be frozen or followed: their apps always run fresh. */
export const UNPROVEN: readonly Program[] = [
  program(
    "a Date",
    "const d = new Date(0);",
    "const was = d.getTime(); d.setTime(was + 1); return was;",
  ),
  program(
    "a Date in disguise",
    "const d = Object.setPrototypeOf(new Date(0), null);",
    "const was = Date.prototype.getTime.call(d); Date.prototype.setTime.call(d, was + 1); return was;",
  ),
  program(
    "a Date through Reflect.construct",
    "function F() {} const d = Reflect.construct(Date, [0], F);",
    "const was = Date.prototype.getTime.call(d); Date.prototype.setTime.call(d, 5); return was;",
  ),
  program(
    "a Date behind a patched iteration",
    `const d = new Date(0); const values = Array.prototype[Symbol.iterator];
     Array.prototype[Symbol.iterator] = function () {
       return values.call(this[0] === "Date" ? ["Date", () => { throw 1; }, []] : this);
     };`,
    "const was = d.getTime(); d.setTime(was + 1); return was;",
  ),
  program(
    "a promise that hides from its constructor",
    `const p = Promise.resolve({ n: 0 }); let throws = true;
     Object.defineProperty(p, "constructor", {
       get() { if (throws) { throws = false; throw new TypeError("x"); } return Promise; },
     });`,
    "try { return (await p).n++; } catch { return (await p).n++; }",
  ),
  program("a typed array", "const a = new Uint8Array(1);", "return a[0]++;"),
  program(
    "an empty view of a buffer",
    "const b = new ArrayBuffer(1);",
    "return new Uint8Array(b)[0]++;",
  ),
  program(
    "a buffer in disguise",
    "const b = Object.setPrototypeOf(new Uint8Array(1).buffer, null);",
    "return new Uint8Array(b)[0]++;",
  ),
  program(
    "a DataView",
    "const v = new DataView(new ArrayBuffer(1)); ",
    "const was = v.getUint8(0); v.setUint8(0, 1); return was;",
  ),
  program("a promise", "const p = Promise.resolve({ n: 0 });", "return (await p).n++;"),
  program(
    "a pending promise",
    "let go; const p = new Promise((r) => { go = r; }); let n = 0; void p.then(() => { n = 1; });",
    "go(); await null; return n;",
  ),
  program(
    "a resolver",
    "const { promise, resolve } = Promise.withResolvers(); const inc = () => resolve(1);",
    "const first = await Promise.race([promise, Promise.resolve(0)]); inc(); return first;",
  ),
  program(
    "an error",
    "const e = new Error('x');",
    "const was = e.stack.length < 5; e.stack = 'left'; return was;",
  ),
  program("an array iterator", "const it = [1, 2, 3].values();", "return it.next().value;"),
  program(
    "an array iterator in disguise",
    "const it = Object.setPrototypeOf([1, 2, 3].values(), null); const { next } = Object.getPrototypeOf([].values());",
    "return next.call(it).value;",
  ),
  program(
    "an array iterator that throws",
    "const next = Object.getPrototypeOf([].values()).next; let n = 0; const it = Array.prototype.values.call({ length: 9, get 0() { throw new TypeError('next method called on incompatible receiver [object Object]'); }, 1: 1, 2: 2, 3: 3 });",
    "return next.call(it).value ?? null;",
  ),
  program(
    "an array iterator that throws natively",
    "const next = Object.getPrototypeOf([].values()).next; const bad = next.bind({}); const it = Array.prototype.values.call(Object.defineProperty({ length: 9, 1: 1, 2: 2 }, '0', { get: bad }));",
    "return next.call(it).value ?? null;",
  ),
  program(
    "a Map iterator",
    "const it = new Map([[1, 1], [2, 2]]).keys();",
    "return it.next().value;",
  ),
  program("a string iterator", "const it = 'abc'[Symbol.iterator]();", "return it.next().value;"),
  program("a match iterator", "const it = 'aaa'.matchAll(/a/g);", "return it.next().value.index;"),
  program(
    "a match iterator of an expression",
    "const it = /a/g[Symbol.matchAll]('aaa');",
    "return it.next().value.index;",
  ),
  program(
    "an iterator helper",
    "const it = [1, 2, 3].values().map((x) => x * 2);",
    "return it.next().value;",
  ),
  program(
    "a wrapped iterator",
    "let n = 0; const it = Iterator.from({ next: () => ({ value: n++, done: false }) });",
    "return it.next().value;",
  ),
  program(
    "a generator",
    "function* count() { let i = 0; for (;;) yield i++; } const it = count();",
    "return it.next().value;",
  ),
  program(
    "a generator that has begun",
    "function* count() { let i = 0; for (;;) yield i++; } const it = count(); it.next();",
    "return it.next().value;",
  ),
  program(
    "a generator in disguise",
    "function* count() { let i = 0; for (;;) yield i++; } const { next } = count.prototype.__proto__; const it = Object.setPrototypeOf(count(), null);",
    "return next.call(it).value;",
  ),
  program(
    "a generator that throws what it likes",
    "function* f() { try { yield 1; } finally { throw new TypeError('next method called on incompatible receiver'); } } const it = f();",
    "return it.next().value;",
  ),
  program(
    "an async generator",
    "async function* count() { let i = 0; for (;;) yield i++; } const it = count();",
    "return (await it.next()).value;",
  ),
  program(
    "an async function that waits",
    "let go; let n = 0; (async () => { await new Promise((r) => { go = r; }); n = 1; })();",
    "go(); await null; await null; return n;",
  ),
  program("a WeakRef", "const r = new WeakRef({ n: 0 });", "return r.deref().n++;"),
  program(
    "a proxy of an object",
    "const t = { n: 0 }; const p = new Proxy(t, { get: (o, k) => o[k] });",
    "return p.n;",
  ),
  program(
    "a proxy with other traps",
    "const p = new Proxy({}, { ownKeys: () => ['a'], getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }) });",
    "return Object.keys(p);",
  ),
  program("a proxy of a function", "const p = new Proxy(() => 1, {});", "return p();"),
  program(
    "a revocable proxy",
    "const { proxy, revoke } = Proxy.revocable({}, {});",
    "let was; try { was = proxy.a ?? null; } catch { was = 'revoked'; } revoke(); return was;",
  ),
  program(
    "a stack trace of one's own",
    "Error.prepareStackTrace = (e, s) => s;",
    "const p = Object.getPrototypeOf(new Error().stack[0]); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "a private method's property",
    "class A { #m() {} f() { return this.#m; } } const a = new A(); const f = a.f();",
    "const was = a.f().left ?? null; a.f().left = 1; return was;",
  ),
  program(
    "a private method on an old object",
    "class R { constructor(o) { return o; } } class S extends R { #m() {} static has(o) { return #m in o; } } const o = {};",
    "const was = S.has(o); if (!was) new S(o); return was;",
  ),
  program(
    "super in a literal",
    "const s = { n: 0 }; const inc = { __proto__: { s }, f() { return super.s; } }.f;",
    "return inc().n++;",
  ),
  program(
    "a closure in a parameter",
    "const inc = ((o, get = () => o) => get)({ n: 0 });",
    "return inc().n++;",
  ),
  program(
    "a closure in the head of a loop",
    "let inc; for (let o = { n: 0 }, f = () => o.n++; inc === undefined; ) inc = f;",
    "return inc();",
  ),
  program(
    "a function's text at import",
    "function f(a) { return a; } const text = f.toString();",
    "return text;",
  ),
  program("a function's text in a template", "const text = `${() => 1}`;", "return text;"),
  program(
    "a URL at import",
    "const u = new URL('a:b');",
    "const was = u.href; u.search = '?x'; return was;",
  ),
  program(
    "search parameters in disguise",
    "const p = Object.setPrototypeOf(new URLSearchParams('a=1'), null);",
    "URLSearchParams.prototype.append.call(p, 'k', 'v'); return p;",
  ),
  program(
    "an iterator of search parameters",
    "const it = new URLSearchParams('a=1&b=2').keys();",
    "return it.next().value;",
  ),
  program("a web API at import", "const t = new EventTarget();", "return typeof t;"),
  program("a console timer at import", "console.time('left');", "return 1;"),
  program("Map.groupBy", "const m = Map.groupBy([{ n: 0 }], (x) => 1);", "return m.get(1)[0].n++;"),
  program(
    "a union",
    "const s = new Set().union({ size: 1, has: () => true, keys: () => [{ n: 0 }].values() });",
    "return [...s][0].n++;",
  ),
  program(
    "a pattern after catch",
    "let m; try { throw { n: 0 }; } catch ({ n }) { m = () => n++; }",
    "return m();",
  ),
  program(
    "two functions of one name",
    "function f() { return 1; } function f() { return 2; }",
    "return f();",
  ),
  program(
    "a constructor that is still to call super",
    "let again; class R {} class S extends R { constructor() { again = () => super(); } } try { new S(); } catch {}",
    "try { again(); return 'made'; } catch (e) { return e.message; }",
  ),
  program("the guard's own names", "const $fenchel = 1;", "return $fenchel;"),
];
