import { program } from "./program.ts";
import type { Program } from "./program.ts";

/** Programs after which the realm may be used again: the next execution finds nothing. */
export const UNDONE: readonly Program[] = [
  program("a counter", "let n = 0;", "return n++;"),
  program("a counter in var", "var n = 0;", "n += 1; return n;"),
  program("a negative zero", "let n = 0;", "const was = Object.is(n, -0); n = -0; return was;"),
  program("not a number", "let n = 0;", "const was = n; n = NaN; return String(was);"),
  program("a memo", "let memo; const get = () => (memo ??= { made: 0 });", "return get().made++;"),
  program(
    "an object put into a binding",
    "let o = null;",
    "const was = o; o = { a: 1 }; return was;",
  ),
  program(
    "a counter of a factory",
    "const make = () => { let n = 0; return () => n++; }; const next = make();",
    "return [next(), next()];",
  ),
  program("a parameter", "const next = ((n) => () => n++)(5);", "return [next(), next()];"),
  program(
    "a default parameter",
    "const next = ((n = 3) => { return () => n++; })();",
    "return next();",
  ),
  program(
    "a destructured parameter",
    "const next = (({ n }) => { return () => (n += 2); })({ n: 1 });",
    "return next();",
  ),
  program(
    "bindings of loop rounds",
    "const all = []; for (let i = 0; i < 3; i++) { all.push(() => i++); }",
    "return all.map((f) => f() + f());",
  ),
  program(
    "a loop without a block",
    "const all = []; for (let i of [1, 2]) all.push(() => i++);",
    "return all.map((f) => f());",
  ),
  program("a block", "let next; { let n = 7; next = () => n++; }", "return next();"),
  program(
    "a caught value",
    "let next; try { throw 1; } catch (e) { next = () => e++; }",
    "return next();",
  ),
  program(
    "a binding of a switch",
    "let next; switch (1) { case 0: case 1: let n = 2; next = () => n++; }",
    "return next();",
  ),
  program(
    "a binding of a static block",
    "let next; class A { static { let n = 3; next = () => n++; } }",
    "return next();",
  ),
  program(
    "a function declaration",
    "function f() { return 1; }",
    "const was = f(); f = () => 2; return was;",
  ),
  program("a class declaration", "class A {}", "const was = typeof A; A = 1; return was;"),
  program(
    "a destructuring assignment",
    "let a = 1, b = 2;",
    "const was = [a, b]; [a, b] = [b, a]; ({ a } = { a: 9 }); return was;",
  ),
  program(
    "a loop over a binding",
    "let key = 'none';",
    "const was = key; for (key of ['x', 'y']); return was;",
  ),
  program(
    "a loop over names",
    "let key = 'none';",
    "const was = key; for (key in { q: 1 }); return was;",
  ),
  program("an exponent", "let n = 3;", "const was = n; n **= 2; return was;"),
  program("a dangling microtask", "let n = 0;", "queueMicrotask(() => { n++; }); return n;"),
  program(
    "a chain of promises that goes on",
    "let n = 0;",
    "void (async () => { for (let i = 0; i < 50; i++) await null; n = 1; })(); return n;",
  ),
  program(
    "a promise that is never settled",
    "let waiting = null;",
    "const was = waiting === null; waiting = new Promise(() => {}); void waiting.then(() => {}); return was;",
  ),
  program(
    "a resolver for the next execution",
    "let resolve = null; const log = () => console.log('resumed');",
    "if (resolve) resolve(); void new Promise((r) => { resolve = r; }).then(log); return 1;",
  ),
  program(
    "a suspended generator",
    "let it = null; function* count() { for (let i = 0; ; i++) yield i; }",
    "it ??= count(); return [it.next().value, it.next().value];",
  ),
  program(
    "a suspended async generator",
    "let it = null; async function* count() { for (let i = 0; ; i++) yield i; }",
    "it ??= count(); return (await it.next()).value;",
  ),
  program("an iterator", "let it = null;", "it ??= [1, 2, 3].values(); return it.next().value;"),
  program("a global regular expression", "const r = /a/g;", "return [r.test('aa'), r.lastIndex];"),
  program(
    "a sticky regular expression",
    "const r = /a/y;",
    "return [r.exec('aab') !== null, r.lastIndex];",
  ),
  program(
    "a lastIndex of one's own",
    "const r = /a/;",
    "const was = r.lastIndex; r.lastIndex = 4; return was;",
  ),
  program(
    "a lastIndex that is an object",
    "const r = /a/;",
    "const was = typeof r.lastIndex; r.lastIndex = {}; return was;",
  ),
  program(
    "replacing with a shared expression",
    "const r = /[ab]/g;",
    "return 'cabs'.replace(r, '-');",
  ),
  program(
    "private state of a new object",
    "class A { #n = 0; next() { return this.#n++; } }",
    "const a = new A(); return [a.next(), a.next()];",
  ),
  program(
    "a Map of one's own",
    "const copy = (m) => new Map(m);",
    "const m = copy([[1, 2]]); m.set(3, 4); return m.size;",
  ),
  program(
    "a Map read",
    "const m = new Map([['a', { b: 1 }]]);",
    "return [m.get('a').b, m.has('c'), [...m.keys()]];",
  ),
  program("a Set read", "const s = new Set(['a', 'b']);", "return [s.has('a'), [...s].join()];"),
  program("a WeakMap read", "const k = {}; const w = new WeakMap([[k, 1]]);", "return w.get(k);"),
  program("a symbol of the registry", "", "const s = Symbol.for('left'); return Symbol.keyFor(s);"),
  program("randomness", "const r = Math.random();", "return [r, Math.random(), Math.random()];"),
  program("the time", "const t = Date.now();", "return [t, Date.now(), new Date().toISOString()];"),
  program(
    "a timer that is refused",
    "",
    "try { setTimeout(() => {}, 1); } catch (e) { return e.message; }",
  ),
  program(
    "an error of one's own",
    "class Bad extends Error { name = 'Bad'; }",
    "throw new Bad('no');",
  ),
  program(
    "an error through finally",
    "",
    "try { throw new TypeError('x'); } finally { console.log('left'); }",
  ),
  program("an error without a parameter", "", "try { null.x; } catch { return 'caught'; }"),
  program(
    "a frozen object of one's own",
    "",
    "const o = Object.freeze({ a: 1 }); return Object.isFrozen(o);",
  ),
  program(
    "the trace of an error",
    "function inner() { throw new Error('deep'); }",
    "const f = () => inner(); f();",
  ),
  program(
    "a trace that is read",
    "const f = (x) => x.map((y) => { throw new RangeError('in ' + y); });",
    "try { f([1]); } catch (e) { return e.stack; }",
  ),
  program(
    "a trace of an async function",
    "const wait = async () => { await null; throw new Error('later'); };",
    "await wait();",
  ),
  program(
    "arguments",
    "function f() { return () => arguments[0]; } const g = f({ n: 1 }.n);",
    "return g();",
  ),
  program(
    "a bound function",
    "const f = function (x) { return this.n + x; }.bind({ n: 1 });",
    "return f(2);",
  ),
  program(
    "a proxy like that of `api`",
    "const api = (path) => new Proxy({}, { get: (_, k) => api([...path, k]), has: () => true });\nconst root = api([]);",
    "return typeof root.a.b;",
  ),
  program("a getter", "const o = { get n() { return 4; } };", "return o.n;"),
  program("a null result", "", "return null;"),
  program("a console line", "", "console.log('once', { a: [1] }, new Set(['x'])); return 0;"),
  program("an arrow's value", "const pair = (a) => ({ a });", "return pair(3);"),
  program(
    "labels and switches",
    "",
    "out: for (const x of [1, 2]) { switch (x) { case 2: break out; default: continue; } } return 'end';",
  ),
  program(
    "spreading",
    "const base = { a: 1 };",
    "const o = { ...base, b: 2 }; o.a = 5; return [o, base];",
  ),
  program("sorting a copy", "const list = [3, 1, 2];", "return [[...list].sort(), list];"),
  program(
    "a class that is derived",
    "class A { x = 1; } class B extends A { y = this.x + 1; get z() { return super.toString !== undefined; } }",
    "const b = new B(); b.x = 3; return [b.x, b.y, b.z];",
  ),
  program(
    "an unhandled rejection",
    "",
    "void Promise.reject(new RangeError('nobody')); await null; return 1;",
  ),
  program("a thrown text", "", "throw 'text';"),
  program(
    "what import sees of the engine",
    `const names = [];
     const note = (owner, path) => {
       for (const key of Reflect.ownKeys(owner)) {
         names.push(path + String(key));
         const value = Object.getOwnPropertyDescriptor(owner, key)?.value;
         const isNew = value !== owner && (typeof value === "object" || typeof value === "function");
         if (isNew && value !== null && path.split(".").length < 3) note(value, path + String(key) + ".");
       }
     };
     note(globalThis, "");`,
    "return names;",
  ),
  program(
    "what the engine brings later",
    "const had = typeof DisposableStack;",
    "return [had, typeof DisposableStack, typeof Promise.try];",
  ),
  program(
    "a stack that is read at import",
    "const { stack } = new Error('x');",
    "return typeof stack;",
  ),
  program(
    "a private name",
    "class A { #n = 0; next() { return this.#n++; } } const a = new A();",
    "return [a.next(), a.next()];",
  ),
  program(
    "a private static",
    "class A { static #n = 0; static next() { return (A.#n += 1); } }",
    "return [A.next(), A.next()];",
  ),
  program(
    "a private target of a pattern",
    "class A { #n = 0; next() { const was = this.#n; [this.#n] = [was + 1]; return was; } } const a = new A();",
    "return [a.next(), a.next()];",
  ),
  program(
    "a private memo",
    "class A { #memo; get() { return (this.#memo ??= { made: 0 }); } } class B extends A { #own = []; put(x) { this.#own = [...this.#own, x]; return this.#own; } } const b = new B();",
    "return [b.get().made++, b.put(1), b.put(2)];",
  ),
  program(
    "the name of a function in a private name",
    "class A { #f; #g = [() => { throw new Error('g'); }]; constructor() { this.#f = () => { throw new Error('f'); }; } f() { this.#f(); } g() { this.#g[0](); } put(x) { const me = this; me.#f = [() => { throw new Error('p'); }]; me.#f[0](); } }",
    "return ['f', 'g', 'put'].map((k) => { try { new A()[k](); } catch (e) { return e.stack; } });",
  ),
  program(
    "the name of a function in a parameter list",
    "const f = (a = [() => { throw new Error('p'); }].concat()) => a[0](); const g = ([a = new (class { s = new Error('c').stack; })()] = []) => a.s;",
    "try { f(); } catch (e) { return [e.stack, g()]; }",
  ),
  program(
    "the name of a function before the end of another",
    "const start = (() => { const all = [() => { throw new Error('x'); }, ((g) => { return () => g; })(1)]; return () => all[0](); })();",
    "try { start(); } catch (e) { return e.stack; }",
  ),
  program(
    "the name of a class before a parameter that is assigned",
    "",
    "const show = (...all) => all; try { show(new (class { constructor() { null.x; } })(), (n) => () => n++); } catch (e) { return e.stack; }",
  ),
  program(
    "the name of a class in an arrow function that another returns",
    "const show = (...all) => all; const nothing = { j: (x) => x };",
    "try { show((() => () => [new (class { constructor() { null.x; } })(), nothing.j({ bad: 1 })])()()); } catch (e) { return e.stack; }",
  ),
  program(
    "parentheses in a parameter list and around a body",
    "const f = (a = (1, [2].at(0)), { b = ((x) => (x, (x)))(3) } = {}) => (a, ([a, b]));",
    "return f();",
  ),
  program(
    "an error that is no resolver, where names are assigned",
    "class E extends Error { constructor(m) { super(m); this.name = 'E'; } }",
    "return [new Error('m'), new E('n')].map((v) => { try { new Promise(v); } catch (e) { return e.message; } });",
  ),
  program(
    "the name of all errors",
    "class E extends Error { constructor() { super(); this.name = 'E'; this.message = 'm'; } }",
    "const was = String(new Error('m')); Error.prototype.name = { toString: () => 'Left' }; return [was, String(new Error('m')), String(new E())];",
  ),
  program(
    "a lastIndex that is frozen",
    "const r = /a/g;",
    "const was = r.lastIndex; r.lastIndex = 4; Object.freeze(r); return was;",
  ),
  program(
    "the stack of what JSON.parse throws",
    "",
    "try { JSON.parse('{'); } catch (e) { return e.stack; }",
  ),
  program(
    "the stack in a setter that Reflect.set calls",
    "",
    "try { Reflect.set({ set x(v) { throw new Error('in'); } }, 'x', 1); } catch (e) { return e.stack; }",
  ),
];
