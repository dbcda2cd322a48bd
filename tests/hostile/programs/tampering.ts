/**
 * Changes to builtins and shared state, made where the runtime would meet them. What counts is what
 * the next execution sees; the tampering one may end as it likes.
 */
import { acting, convex, global, program, shared, writing } from "./hostile";

const call = () => convex.asyncSyscall("1.0/getUserIdentity", "{}");

export const arrayPush = program(async () => {
  Array.prototype.push = () => 0;
  Array.prototype.map = (() => []) as any;
  return await call();
});
export const arrayIterator = program(async () => {
  (Array.prototype as any)[Symbol.iterator] = function* () {
    yield "stolen";
  };
  return await call();
});
export const indexSetter = program(async () => {
  Object.defineProperty(Array.prototype, 0, { set() {}, get: () => "stolen" });
  Object.defineProperty(Object.prototype, 1, { set() {}, get: () => "stolen" });
  return await call();
});
export const objectThen = program(async () => {
  (Object.prototype as any).then = (resolve: any) => resolve("stolen");
  return await call();
});
export const objectToJson = program(() => {
  (Object.prototype as any).toJSON = () => "stolen";
  (String.prototype as any).toJSON = () => "stolen";
  return { honest: true };
});
export const objectAccessors = program(async () => {
  for (const key of [
    "outcome",
    "kind",
    "syscalls",
    "logLines",
    "message",
    "data",
    "get",
    "value",
  ]) {
    Object.defineProperty(Object.prototype, key, {
      get: () => "stolen",
      set() {},
    });
  }
  return await call();
});
export const promiseThen = program(async () => {
  Promise.prototype.then = function () {
    return "stolen";
  } as any;
  return await call();
});
export const promiseResolve = program(async () => {
  (Promise as any).resolve = () => ({ then: () => {} });
  global.Promise = class {};
  return await call();
});
export const jsonFunctions = program(() => {
  JSON.stringify = () => "stolen";
  JSON.parse = () => "stolen";
  return { honest: true };
});
export const functionCall = program(async () => {
  Function.prototype.call = () => "stolen" as any;
  Function.prototype.apply = () => "stolen" as any;
  Function.prototype.bind = () => "stolen" as any;
  return await call();
});
export const reflectAndObject = program(async () => {
  for (const owner of [Reflect, Object] as any[]) {
    for (const key of Object.getOwnPropertyNames(owner)) {
      try {
        owner[key] = () => "stolen";
      } catch {
        // Some cannot be written.
      }
    }
  }
  return await call();
});
export const mapAndSet = program(async () => {
  Map.prototype.get = () => "stolen" as any;
  Map.prototype.set = () => "stolen" as any;
  Set.prototype.add = () => "stolen" as any;
  WeakMap.prototype.get = () => "stolen" as any;
  return await call();
});
export const stringMethods = program(async () => {
  for (const key of Object.getOwnPropertyNames(String.prototype)) {
    (String.prototype as any)[key] = () => "stolen";
  }
  return await call();
});
export const regexExec = program(async () => {
  RegExp.prototype.exec = () => null;
  (RegExp.prototype as any)[Symbol.replace] = () => "stolen";
  return await call();
});
export const errorConstructor = program(() => {
  global.Error = function () {
    return "stolen";
  };
  throw new TypeError("honest");
});
export const errorPrototype = program(() => {
  Object.defineProperty(Error.prototype, "message", { get: () => "stolen" });
  Object.defineProperty(Error.prototype, "name", { get: () => "stolen" });
  throw new Error("honest");
});
export const everyGlobalGone = program(async () => {
  for (const key of Reflect.ownKeys(globalThis)) {
    try {
      delete global[key];
    } catch {
      // Some stay.
    }
  }
  return await call();
});
export const everyGlobalReplaced = program(async () => {
  for (const key of Reflect.ownKeys(globalThis)) {
    try {
      Object.defineProperty(globalThis, key, { value: "stolen" });
    } catch {
      // Some cannot be redefined.
    }
  }
  return await call();
});
export const globalPrototype = program(async () => {
  Object.setPrototypeOf(globalThis, null);
  return await call();
});
export const frozenWorld = program(async () => {
  for (const key of Reflect.ownKeys(globalThis)) {
    const value = global[key];
    if (typeof value === "function") Object.freeze(value.prototype);
  }
  Object.freeze(Object.prototype);
  Object.freeze(globalThis);
  return await call();
});
export const convexReplaced = program(async () => {
  global.Convex = {
    syscall: () => "stolen",
    asyncSyscall: async () => '"stolen"',
  };
  return await global.Convex.asyncSyscall();
});
export const convexMembers = program(async () => {
  try {
    convex.asyncSyscall = async () => '"stolen"';
    convex.syscall = () => "stolen";
  } catch {
    // Or it is frozen.
  }
  return await call();
});
export const consoleReplaced = program(() => {
  console.log = () => "stolen" as any;
  global.console = null;
});
export const mathAndDate = program(() => {
  Math.random = () => 0.5;
  Date.now = () => 1;
  global.Date = class {};
  return Math.random();
});
export const cryptoReplaced = program(() => {
  global.crypto = { getRandomValues: (array: any) => array };
  return "done";
});
export const symbolsOfObjects = program(() => {
  (Object.prototype as any)[Symbol.toPrimitive] = () => "stolen";
  (Object.prototype as any)[Symbol.toStringTag] = "stolen";
  (Function.prototype as any)[Symbol.hasInstance as any];
  return `${{}}`;
});
export const typedArrays = program(() => {
  const prototype = Object.getPrototypeOf(Uint8Array.prototype);
  prototype.set = () => "stolen";
  prototype.subarray = () => "stolen";
  global.Uint8Array = Array;
  return new TextEncoder().encode("x").length;
});
export const generatorPrototype = program(async (ctx) => {
  const prototype = Object.getPrototypeOf(
    Object.getPrototypeOf((async function* () {})()),
  );
  prototype.next = () => "stolen";
  return await ctx.db.query("t").collect();
});
export const moduleState = program(() => {
  shared.touched = 1;
  shared.secret = "left behind";
  return shared;
});
export const moduleFunctions = program(() => {
  (program as any).left = "behind";
  (call as any).left = "behind";
  return "done";
});
export const globalLeft = program(() => {
  global.leftBehind = shared;
  global[Symbol.for("left")] = "behind";
  Symbol.for("left behind");
  return "done";
});
export const databaseWrapper = program((ctx) => {
  Object.getPrototypeOf(ctx.db).get = () => "stolen";
  ctx.db.get = () => "stolen";
  return ctx.db.get();
});
export const stateOfMutations = writing(async (ctx) => {
  shared.touched = 2;
  await ctx.db.insert("t", { left: "behind" });
  throw new Error("and rolled back");
});
export const stateOfActions = acting(() => {
  shared.touched = 3;
  Array.prototype.at = () => "stolen";
  return "done";
});
export const lateTimers = acting(() => {
  setTimeout(() => {
    shared.touched = 4;
    Array.prototype.at = () => "stolen";
  }, 5);
  return "done";
});
export const lateMicrotasks = program(() => {
  const again = (): unknown =>
    Promise.resolve().then(() => {
      shared.touched = 5;
    });
  void again();
  return "done";
});
export const environmentChanged = program(() => {
  global.process.env.CONVEX_CLOUD_URL = "stolen";
  global.process.env.LEFT = "behind";
  return "done";
});
