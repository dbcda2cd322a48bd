import { program } from "./program.ts";
import type { Program } from "./program.ts";

/** Programs whose changes a realm for many executions writes down and undoes, or allows. */
export const WRITTEN_DOWN: readonly Program[] = [
  program(
    "a Map",
    "const m = new Map();",
    "const was = m.get('k') ?? null; m.set('k', 1); return was;",
  ),
  program(
    "a Map in disguise",
    "const m = Object.setPrototypeOf(new Map(), null);",
    "const was = Map.prototype.get.call(m, 1) ?? null; Map.prototype.set.call(m, 1, 2); return was;",
  ),
  program(
    "a Map that is cleared",
    "const m = new Map([[1, 1]]);",
    "const was = m.size; m.clear(); return was;",
  ),
  program(
    "a Map through a saved method",
    "const { set } = Map.prototype; const m = new Map();",
    "const was = m.size; set.call(m, 1, 2); return was;",
  ),
  program("a Set", "const s = new Set();", "const was = s.has(1); s.add(1); return was;"),
  program("a Set that loses one", "const s = new Set([1]);", "return s.delete(1);"),
  program(
    "a WeakMap",
    "const k = {}; const w = new WeakMap();",
    "const was = w.has(k); w.set(k, 1); return was;",
  ),
  program(
    "a WeakSet",
    "const k = {}; const w = new WeakSet();",
    "const was = w.has(k); w.add(k); return was;",
  ),
  program("a name that objects inherit", "", "const o = {}; o.valueOf = () => 3; return o + 1;"),
  program("an error's name", "", "const e = new Error('x'); e.name = 'Own'; throw e;"),
  program("an inherited name", "class A { m() {} }", "const a = new A(); a.m = 1; return a.m;"),
  program("a web API", "", "return new URL('http://a/b').pathname;"),
  program(
    "the order of a Map",
    "const m = new Map([[1, 'a'], [2, 'b'], [3, 'c']]);",
    "const was = [...m]; m.set(9, 0); m.delete(2); m.set(2, 'z'); m.delete(1); return was;",
  ),
  program(
    "a Map that is filled, cleared and filled",
    "const m = new Map([['a', 1]]);",
    "const was = [...m]; m.set('b', 2); m.clear(); m.set('c', 3); m.delete('c'); return was;",
  ),
  program(
    "a value of a Map",
    "const m = new Map([['a', 1], ['b', 2]]);",
    "const was = [...m]; m.set('a', 5); m.set('a', undefined); return was;",
  ),
  program(
    "the order of a Set",
    "const s = new Set([1, 2, 3]);",
    "const was = [...s]; s.delete(1); s.add(1); s.add(4); return was;",
  ),
  program(
    "a WeakMap that loses one",
    "const k = {}; const w = new WeakMap([[k, 1]]);",
    "const was = w.get(k) ?? null; w.delete(k); return was;",
  ),
  program(
    "a cache",
    "const cache = new Map(); const get = (k) => { if (!cache.has(k)) { cache.set(k, { k }); console.log('miss'); } return cache.get(k); };",
    "get('a').n = 1; get('b'); return [get('a'), cache.size];",
  ),
  program(
    "an error that names itself",
    "class Bad extends Error { constructor(m) { super(m); this.name = 'Bad'; this.message = m + '!'; } }",
    "const e = new Bad('no'); console.log(e.name, Object.keys(e), Object.hasOwn(e, 'name')); throw e;",
  ),
  program(
    "methods bound in a constructor",
    "class A { constructor() { this.n = 3; this.get = this.get.bind(this); } get() { return this.n; } }",
    "const { get } = new A(); return [get(), A.prototype.get.name, Object.keys(new A())];",
  ),
  program(
    "a method that is replaced",
    "class A { m() { return 1; } } class B extends A {}",
    "const b = new B(); const was = b.m(); b.m = () => 2; return [was, b.m(), new B().m(), 'm' in b];",
  ),
  program(
    "URLs",
    "const base = () => new URL('https://a.b/c?d=e');",
    "const u = new URL('../x?q=1', base()); u.searchParams.append('k', 'v w'); return [u.href, base().href, [...u.searchParams], URL.canParse('::')];",
  ),
  program(
    "text and bytes",
    "const encoder = new TextEncoder(); const decoder = new TextDecoder();",
    "return [decoder.decode(encoder.encode('äß€')), [...encoder.encode('é')], atob(btoa('xyz')), new TextDecoder('utf-16le').decode(new Uint8Array([65, 0]))];",
  ),
  program(
    "a stream of pieces",
    "const piece = (d, b, stream) => d.decode(new Uint8Array(b), { stream });",
    "const d = new TextDecoder(); return [piece(d, [0xc3], true), piece(d, [0xa4], false)];",
  ),
  program(
    "random bytes",
    "",
    "return [crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(4))]];",
  ),
  program(
    "a clone",
    "const o = { a: [1, new Map([[1, { b: 2 }]])] };",
    "const c = structuredClone(o); c.a[0] = 5; c.a[1].get(1).b = 3; try { structuredClone(() => 1); } catch (e) { return [o.a[0], c, e.name, '__core-js_shared__' in globalThis]; }",
  ),
  program("bad base64", "", "try { atob('*'); } catch (e) { return [e.name, e.code, e.message]; }"),
  program(
    "a default parameter that reads",
    "const o = { n: 1 }; const f = (a = o.n + 1, { b = [...'xy'].length } = {}) => [a, b];",
    "return f();",
  ),
  program(
    "a sequence put into a private name",
    "class A { #n = (1, 2); set(v) { this.#n = (v, v + 1); return this; } get() { return this.#n; } }",
    "return [new A().get(), new A().set(4).get()];",
  ),
  program(
    "methods of collections on other objects",
    "const o = {}; const m = new Map(); const w = new WeakMap();",
    "return [() => Map.prototype.set.call(o, 1, 2), () => Set.prototype.add.call(m, 1), () => WeakSet.prototype.add.call(w, m), () => Map.prototype.clear.call(o), () => w.set(1, 1)].map((f) => { try { f(); } catch (e) { return e.message; } });",
  ),
];
