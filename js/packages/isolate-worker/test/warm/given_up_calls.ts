import { program } from "./program.ts";
import type { Program } from "./program.ts";

/** Programs that patch what everybody uses, while they are imported: each an app of its own. */
export const PATCHING: readonly Program[] = [
  program(
    "a write behind a patched exec",
    "const o = {}; RegExp.prototype.exec = () => null;",
    "try { o.x = 1; } catch { return 'differs'; } return Object.keys(o);",
  ),
  program(
    "a write behind a patched instanceof",
    "const o = {}; Object.defineProperty(TypeError, Symbol.hasInstance, { value: () => false });",
    "try { o.x = 1; } catch { return 'differs'; } return Object.keys(o);",
  ),
  program(
    "a write behind patched collections",
    "const o = {}; WeakSet.prototype.has = () => false; const m = new Map();",
    "const was = [m.size, Object.keys(o)]; m.set(1, 1); o.x = 1; return was;",
  ),
  program(
    "an expression behind attributes of one's own",
    "const r = /a/g; Object.prototype.value = 7; r.own = 1;",
    "const was = [r.own, r.lastIndex]; r.own = 2; return was;",
  ),
  program(
    "a web API beside changed builtins",
    "const { trim } = String.prototype; let n = 0; String.prototype.trim = function () { n++; return trim.call(this); };",
    "const was = n; new TextDecoder(' utf-8 '); return [was, n];",
  ),
];

/** Such programs whose writes are calls, and programs that look. */
export const GIVEN_UP_CALLS: readonly Program[] = [
  program(
    "Object.assign",
    "const o = { a: 1 };",
    "const was = o.a; Object.assign(o, { a: 2 }); return was;",
  ),
  program(
    "Object.defineProperty",
    "const o = {};",
    "const was = o.a ?? null; Object.defineProperty(o, 'a', { value: 1 }); return was;",
  ),
  program(
    "Object.setPrototypeOf",
    "const o = {};",
    "const was = Object.getPrototypeOf(o) === null; Object.setPrototypeOf(o, null); return was;",
  ),
  program(
    "__proto__",
    "const o = {};",
    "const was = Object.getPrototypeOf(o) === null; o.__proto__ = null; return was;",
  ),
  program(
    "__defineGetter__",
    "const o = {};",
    "const was = o.a ?? null; o.__defineGetter__('a', () => 1); return was;",
  ),
  program(
    "Reflect.set",
    "const o = { a: 1 };",
    "const was = o.a; return [was, Reflect.set(o, 'a', 2)];",
  ),
  program(
    "Reflect.defineProperty",
    "const o = {};",
    "return Reflect.defineProperty(o, 'a', { value: 1 });",
  ),
  program(
    "Reflect.deleteProperty",
    "const o = { a: 1 };",
    "return Reflect.deleteProperty(o, 'a');",
  ),
  program("Reflect.setPrototypeOf", "const o = {};", "return Reflect.setPrototypeOf(o, null);"),
  program("Object.isFrozen", "const o = { a: 1 };", "return Object.isFrozen(o);"),
  program(
    "Object.isExtensible",
    "const o = { a: 1 };",
    "return [Object.isExtensible(o), Reflect.isExtensible(o), Object.isSealed(o)];",
  ),
  program("a descriptor", "const o = { a: 1 };", "return Object.getOwnPropertyDescriptor(o, 'a');"),
  program("all descriptors", "const o = { a: 1 };", "return Object.getOwnPropertyDescriptors(o);"),
  program(
    "freezing, then asking",
    "const o = { a: 1 };",
    "const was = Object.isFrozen(o); Object.freeze(o); return was;",
  ),
  program(
    "an object that inherits",
    "const o = { a: 1 };",
    "const p = Object.create(o); p.a = 2; return [p.a, o.a];",
  ),
  program(
    "a proxy's target",
    "const o = { a: 1 };",
    "const p = new Proxy(o, { get: () => 2 }); return p.a;",
  ),
  program(
    "a write through a proxy",
    "const o = new Proxy({}, { get: (t, k) => t[k] });",
    "const was = o.a ?? null; o.a = 1; return was;",
  ),
  program(
    "an object held by a proxy",
    "const h = { s: { n: 0 }, get() { return 1; } }; const { s } = h; const inc = () => s.n++;",
    "return inc();",
  ),
  program(
    "a reviver",
    "const o = { a: 1 };",
    "return JSON.parse('[1,2]', function (k, v) { return k === '0' ? o : v; });",
  ),
  program("a function's text", "function f(a) { return a; }", "return f.toString();"),
  program("a native function's text", "", "return Map.prototype.set.toString();"),
  program(
    "too deep",
    "const f = (n) => { try { return f(n + 1); } catch (e) { return e instanceof RangeError; } };",
    "return f(0);",
  ),
  program(
    "a getter that counts",
    "const o = { n: 0, get next() { return this.n++; } };",
    "return o.next;",
  ),
  program(
    "an accessor's function",
    "const o = { get a() { return 1; } };",
    "const f = o.__lookupGetter__('a'); const was = f.left ?? null; f.left = 1; return was;",
  ),
  program(
    "a method that is borrowed",
    "const a = []; const { push } = Array.prototype;",
    "push.call(a, 1); return a.length;",
  ),
  program(
    "a species",
    "const made = []; class A extends Array { static get [Symbol.species]() { return function () { return made; }; } }",
    "new A(1, 2).map((x) => x); return made.length;",
  ),
  program(
    "an iterator that is closed",
    "const o = {};",
    "const it = { [Symbol.iterator]() { return this; }, next: () => ({ value: 1, done: false }), return() { o.x = 1; return {}; } }; try { for (const x of it) throw new Error('body'); } catch (e) { return [e.message, 'x' in o]; }",
  ),
  program(
    "a registry",
    "const r = new FinalizationRegistry(() => {}); ",
    "const was = r.left ?? null; r.left = 1; return was;",
  ),
  program("WebAssembly", "", "return typeof WebAssembly.Module;"),
  program(
    "Atomics.waitAsync",
    "",
    "return typeof Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1).async;",
  ),
  program(
    "a web API's prototype",
    "",
    "const was = TextEncoder.prototype.left ?? null; TextEncoder.prototype.left = 1; return was;",
  ),
  program(
    "a native reaction",
    "const a = [];",
    "const was = a.length; return await Promise.resolve(1).then(a.push.bind(a)).then(() => was, () => 'differs');",
  ),
  program(
    "a native reaction whose rejection is settled",
    "const a = [];",
    "const [r] = await Promise.allSettled([Promise.resolve(1).then(a.push.bind(a))]); return r.status;",
  ),
  program(
    "a native reaction whose rejection nobody handles",
    "const a = [];",
    "void Promise.resolve(1).then(a.push.bind(a)); await null; return a.length;",
  ),
  program(
    "a native executor",
    "const a = []; const push = Function.prototype.call.bind(Array.prototype.push, a);",
    "return new Promise(push).then(() => 'settled', () => 'differs').constructor.name;",
  ),
  program(
    "a native thenable",
    "const a = { length: 0, then: Array.prototype.push };",
    "return Promise.race([Promise.resolve(a).catch(() => 'differs'), (async () => { for (let i = 0; i < 9; i++) await null; return 'waits'; })()]);",
  ),
  program(
    "a native end of an iteration",
    "const a = [];",
    "const it = { [Symbol.iterator]() { return this; }, next: () => ({ done: false }), return: a.push.bind(a, 1) }; const was = a.length; try { for (const x of it) throw new Error('body'); } catch (e) { return [was, e.message, a.length]; }",
  ),
  program(
    "a default parameter in a swallowing promise",
    "const o = {}; const f = (v, a = (o.x = 1)) => 'x' in o;",
    "const was = 'x' in o; return [was, await Promise.resolve(1).then(f).catch(() => 'differs')];",
  ),
  program(
    "a default parameter in a swallowing end of an iteration",
    "const o = {};",
    "const it = { [Symbol.iterator]() { return this; }, next: () => ({ done: false }), return(a = (o.x = 1)) { return {}; } }; try { for (const x of it) throw new Error('body'); } catch (e) { return [e.message, 'x' in o]; }",
  ),
  program(
    "a computed key of a parameter",
    "const o = {};",
    "const it = { [Symbol.iterator]() { return this; }, next: () => ({ done: false }), return({ [o.x = 'k']: a } = {}) { return {}; } }; try { for (const x of it) throw new Error('body'); } catch (e) { return [e.message, 'x' in o]; }",
  ),
  program(
    "a cut stack with frames of the guard",
    "const deep = (n) => { if (n > 0) return deep(n - 1); throw new Error('deep'); }; const rec = (o, n) => n > 0 ? rec(o, n - 1) : Reflect.set(o, 'x', 1);",
    "const o = { set x(v) { deep(3); } }; try { rec(o, 12); } catch (e) { return e.stack; }",
  ),
  program(
    "a decoder of import that streams",
    "const d = new TextDecoder();",
    "return d.decode(new Uint8Array([0xc3]), { stream: true }) + d.decode(new Uint8Array([0xa4]));",
  ),
  program("a web API that is not named", "", "return new globalThis['UR' + 'L']('a:b').href;"),
  program(
    "a package that is not shared",
    "",
    "return new TextDecoder('shift_jis').decode(new Uint8Array([65]));",
  ),
  program(
    "a text that objects inherit",
    "",
    "const o = {}; o.toString = () => 'own'; return String(o);",
  ),
  program(
    "a stack in a callback of replace",
    "",
    "return 'a'.replace(/a/, () => new Error('in').stack);",
  ),
  program(
    "Promise.any",
    "",
    "return await Promise.any([Promise.resolve().then(() => new Error('in').stack)]);",
  ),
  program(
    "a rejection that the end of an iteration forgets",
    "const o = {};",
    "const it = { [Symbol.asyncIterator]() { return this; }, next: async () => ({ done: false }), return: () => Promise.try(Object.defineProperty, o, 'x', { value: 1 }) }; const was = 'x' in o; try { for await (const x of it) throw new Error('body'); } catch (e) { return [was, e.message, 'x' in o]; }",
  ),
  program(
    "an array of import that is filled by a rejection that nobody sees",
    "const a = [];",
    "const it = { [Symbol.asyncIterator]() { return this; }, next: async () => ({ done: false }), return: () => Array.fromAsync.call(function () { return a; }, [1]) }; const was = a.length; try { for await (const x of it) throw new Error('body'); } catch (e) { return [was, e.message, a.length]; }",
  ),
  program(
    "an exception that another suppresses",
    "const o = {};",
    "const s = new DisposableStack(); s.defer(() => { throw new Error('first'); }); s.adopt(o, Object.seal); s.use({ __proto__: null, [Symbol.dispose]: Array.prototype.pop, length: 0 }); s.defer(() => { throw new Error('second'); }); try { s.dispose(); } catch (e) { return [e.name, e.error.message]; }",
  ),
  program(
    "a cut stack that nobody reads",
    "const s = new WeakSet(); const deep = (n) => (n > 0 ? deep(n - 1) : s.add(1));",
    "deep(12);",
  ),
  program(
    "private names that are added twice",
    "class R { constructor(o) { return o; } } class S extends R { #m = 1; static has(o) { return #m in o; } }",
    "const o = {}; new S(o); try { new S(o); } catch (e) { return e.message; }",
  ),
  program(
    "a message with a function in it",
    "const f = (a) => a;",
    "try { null[f]; } catch (e) { return e.message; }",
  ),
  program(
    "a message with a long function in it",
    "function f(a) { if (a === 'a long text') return 'that is cut in its middle, for it is too long'; else return 'so that its end does not show'; }",
    "try { null[f]; } catch (e) { return e.message; }",
  ),
  program(
    "the name of a class before private names",
    "const show = (...all) => all;",
    "try { show(new (class { constructor() { null.x; } })(), new (class { #b = 1; get b() { return this.#b; } })().b); } catch (e) { return e.stack; }",
  ),
  program(
    "the trace of an operation that the engine does not place",
    "let n = 5n;",
    "const o = { toJSON: () => String((n += 2)) }; return JSON.stringify(o);",
  ),
  program(
    "the place of a body in parentheses",
    "let n = 1n; const grow = () => (n += 2);",
    "try { grow(); } catch (e) { return e.stack; }",
  ),
  program(
    "the place of a body that assigns",
    "let n = 1n; const grow = () => n += 2;",
    "try { grow(); } catch (e) { return e.stack; }",
  ),
  program(
    "the name of all errors, frozen",
    "class E extends Error { constructor() { super(); this.name = 'E'; } }",
    "Object.freeze(Error.prototype); try { return new E().name; } catch (e) { return e.message; }",
  ),
  program(
    "the place of a pattern that takes no such value",
    "const f = ([a] = [1].concat()) => a;",
    "try { f(null); } catch (e) { return e.stack; }",
  ),
];
