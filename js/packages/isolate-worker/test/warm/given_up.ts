import { program } from "./program.ts";
import type { Program } from "./program.ts";

/** Programs that a realm for many executions gives up on: they are run again in a fresh context. */
export const GIVEN_UP: readonly Program[] = [
  program("a property", "const o = { n: 0 };", "return o.n++;"),
  program("a new property", "const o = {};", "const was = o.left; o.left = 1; return was ?? null;"),
  program(
    "a deleted property",
    "const o = { a: 1 };",
    "const had = 'a' in o; delete o.a; return had;",
  ),
  program("a nested property", "const o = { a: { b: [0] } };", "return o.a.b[0]++;"),
  program("an array", "const a = [];", "a.push(1); return a.length;"),
  program(
    "an array's length",
    "const a = [1, 2];",
    "const was = a.length; a.length = 0; return was;",
  ),
  program("an array's order", "const a = [2, 1];", "const was = a.join(); a.sort(); return was;"),
  program(
    "an array that is filled",
    "const a = [2, 1];",
    "const was = a.join(); a.fill(0); return was;",
  ),
  program(
    "an array in a swallowing catch",
    "const a = [];",
    "try { a.push(1); } catch { return 'differs'; } return a.length;",
  ),
  program(
    "a swallowing finally",
    "const o = {};",
    "const f = () => { try { o.x = 1; } finally { return 'x' in o; } }; return f();",
  ),
  program(
    "a finally after a catch",
    "const o = {};",
    "const f = () => { try { null.x; } catch { o.x = 1; } finally { return 'x' in o; } }; return f();",
  ),
  program(
    "a swallowing promise",
    "const o = {};",
    "let done = false; new Promise((r) => { r(); o.x = 1; done = true; }); return done;",
  ),
  program(
    "a swallowing catch of a promise",
    "const o = {};",
    "return await (async () => { o.x = 1; return 'done'; })().catch(() => 'differs');",
  ),
  program(
    "a swallowing Promise.all",
    "const o = {};",
    "const fail = async () => { throw new Error('first'); }; const write = async () => { o.x = 1; console.log('wrote'); }; try { await Promise.all([fail(), write()]); } catch (e) { return e.message; }",
  ),
  program(
    "a swallowing allSettled",
    "const o = {};",
    "const [r] = await Promise.allSettled([(async () => { o.x = 1; })()]); return r.status;",
  ),
  program(
    "a function's property",
    "function f() {}",
    "f.count = (f.count ?? 0) + 1; return f.count;",
  ),
  program("a class's static", "class A { static n = 0; }", "return A.n++;"),
  program(
    "a class's prototype",
    "class A {}",
    "const was = new A().m?.() ?? null; A.prototype.m = () => 1; return was;",
  ),
  program(
    "a private object",
    "class A { #o = { n: 0 }; next() { return this.#o.n++; } } const a = new A();",
    "return a.next();",
  ),
  program(
    "a private function's property",
    "class A { #f = () => 1; next() { return (this.#f.n = (this.#f.n ?? 0) + 1); } } const a = new A();",
    "return a.next();",
  ),
  program(
    "a private name on an old object",
    "class R { constructor(o) { return o; } } class S extends R { #m = 1; static has(o) { return #m in o; } } const o = {};",
    "const was = S.has(o); if (!was) new S(o); return was;",
  ),
  program("a Map's content", "const m = new Map([['k', { n: 0 }]]);", "return m.get('k').n++;"),
  program("a Map's key", "const m = new Map([[{ n: 0 }, 1]]);", "return [...m.keys()][0].n++;"),
  program(
    "a WeakMap's content",
    "const k = {}; const w = new WeakMap([[k, { n: 0 }]]);",
    "return w.get(k).n++;",
  ),
  program(
    "a captured this",
    "const inc = function () { return () => this.n++; }.call({ n: 0 });",
    "return inc();",
  ),
  program(
    "captured arguments",
    "const inc = (function () { return () => arguments[0].n++; })({ n: 0 });",
    "return inc();",
  ),
  program(
    "a captured arguments object",
    "const inc = (function () { return () => arguments[0]++; })(1);",
    "return inc();",
  ),
  program(
    "this of a field's arrow",
    "class A { s = { n: 0 }; inc = () => this.s.n++; } const { inc } = new A();",
    "return inc();",
  ),
  program(
    "this of a method's arrow",
    "class A { s = 0; get() { return () => this.s++; } } const inc = new A().get();",
    "return inc();",
  ),
  program(
    "a bound this",
    "const inc = function () { return this.n++; }.bind({ n: 0 });",
    "return inc();",
  ),
  program("a bound argument", "const inc = ((o) => o.n++).bind(null, { n: 0 });", "return inc();"),
  program(
    "a super object",
    "class B { static s = { n: 0 }; } const inc = (class extends B { static inc() { return super.s.n++; } }).inc;",
    "return inc();",
  ),
  program(
    "a function's own name",
    "const inc = (function f() { f.n ??= 0; return () => f.n++; })();",
    "return inc();",
  ),
  program(
    "a closure's object",
    "const inc = (() => { const o = { n: 0 }; return () => o.n++; })();",
    "return inc();",
  ),
  program(
    "the texts of a template",
    `class R { constructor(o) { return o; } }
     class S extends R { #m = 1; static has(o) { return #m in o; } }
     const tag = (texts) => { const was = S.has(texts); if (!was) new S(texts); return was; };`,
    "return tag`x`;",
  ),
  program(
    "the global object",
    "",
    "const was = globalThis.left ?? null; globalThis.left = 1; return was;",
  ),
  program("a replaced global", "", "const was = typeof parseInt; parseInt = 1; return was;"),
  program(
    "Object.prototype",
    "",
    "const was = ({}).left ?? null; Object.prototype.left = 1; return was;",
  ),
  program(
    "Array.prototype",
    "",
    "const was = [].left ?? null; Array.prototype.left = 1; return was;",
  ),
  program(
    "a patched method",
    "",
    "const was = 'x'.trim(); String.prototype.trim = () => 'patched'; return was;",
  ),
  program(
    "Promise.prototype.then",
    "",
    "const was = String(Promise.prototype.left); Promise.prototype.left = 1; return was;",
  ),
  program("Math", "", "const was = Math.left ?? null; Math.left = 1; return was;"),
  program(
    "JSON",
    "",
    "const was = JSON.stringify({ a: 1 }); JSON.stringify = () => 'x'; return was;",
  ),
  program(
    "an array iterator's prototype",
    "",
    "const p = Object.getPrototypeOf([].values()); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "a Map iterator's prototype",
    "",
    "const p = Object.getPrototypeOf(new Map().keys()); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "a string iterator's prototype",
    "",
    "const p = Object.getPrototypeOf(''[Symbol.iterator]()); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "a match iterator's prototype",
    "",
    "const p = Object.getPrototypeOf('a'.matchAll(/a/g)); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "a helper's prototype",
    "",
    "const p = Object.getPrototypeOf([].values().map((x) => x)); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "a wrapped iterator's prototype",
    "",
    "const p = Object.getPrototypeOf(Iterator.from({ next() {} })); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "a generator's prototype",
    "",
    "const p = Object.getPrototypeOf(Object.getPrototypeOf((function* () {})())); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "an async generator's prototype",
    "",
    "const p = Object.getPrototypeOf(async function* () {}.prototype); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "an async function's prototype",
    "",
    "const p = Object.getPrototypeOf(async () => {}); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "segments' prototype",
    "",
    "const p = Object.getPrototypeOf(new Intl.Segmenter().segment('')); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "a segment iterator's prototype",
    "",
    "const p = Object.getPrototypeOf(new Intl.Segmenter().segment('')[Symbol.iterator]()); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "typed arrays' prototype",
    "",
    "const p = Object.getPrototypeOf(Uint8Array); const was = p.left ?? null; p.left = 1; return was;",
  ),
  program(
    "the thrower of arguments",
    "",
    "const f = Object.getOwnPropertyDescriptor((function () { return arguments; })(), 'callee').get; const was = Object.isExtensible(f); return was;",
  ),
  program(
    "the getter of stacks",
    "",
    "const f = Object.getOwnPropertyDescriptor(new Error(), 'stack').get; const was = f.left ?? null; f.left = 1; return was;",
  ),
  program(
    "the setter of stacks",
    "",
    "const o = {}; Error.captureStackTrace(o); const f = Object.getOwnPropertyDescriptor(o, 'stack').set; const was = f.left ?? null; f.left = 1; return was;",
  ),
  program(
    "Error.stackTraceLimit",
    "",
    "const was = Error.stackTraceLimit; Error.stackTraceLimit = 1; return was;",
  ),
  program(
    "Error.prepareStackTrace",
    "",
    "const was = typeof new Error().stack; Error.prepareStackTrace = () => 1; return was;",
  ),
  program(
    "Error.captureStackTrace",
    "const o = {};",
    "const was = 'stack' in o; Error.captureStackTrace(o); return was;",
  ),
  program(
    "the last match",
    "",
    "const was = RegExp.lastMatch; 'left behind'.match(/left/); return was;",
  ),
  program("a group of the last match", "", "const was = RegExp.$1; /(a)/.exec('a'); return was;"),
  program(
    "a recompiled expression",
    "const r = /a/;",
    "const was = r.source; r.compile('b'); return was;",
  ),
  program(
    "a property of an expression",
    "const r = /a/g;",
    "const was = r.left ?? null; r.left = 1; return was;",
  ),
  program(
    "process.env",
    "",
    "const was = process.env.left ?? null; process.env.left = 'x'; return was;",
  ),
  program("process", "", "const was = process.left ?? null; process.left = 1; return was;"),
  program("console", "", "const was = console.left ?? null; console.left = 1; return was;"),
  program("a console timer", "", "console.time('left'); return 1;"),
  program("a console timer's end", "", "console.timeEnd('left'); return 1;"),
  program(
    "Convex",
    "",
    "const was = Convex.syscall.left ?? null; Convex.syscall.left = 1; return was;",
  ),
];
