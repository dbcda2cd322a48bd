/** Results and errors that lie about themselves. */
import { program } from "./hostile";

export const functionResult = program(() => () => 1);
export const symbolResult = program(() => Symbol("x"));
export const bigResult = program(() => 2n ** 100n);
export const cyclicResult = program(() => {
  const all: any = {};
  all.self = all;
  return all;
});
export const classResult = program(() => new (class Secret {})());
export const globalResult = program(() => globalThis);
export const promiseInResult = program(() => ({ promise: Promise.resolve(1) }));
export const hugeNumberOfKeys = program(() =>
  Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i])),
);
export const dollarKeys = program(() => ({ $bytes: "x", $integer: 1 }));
export const forgedFloat = program(() => ({ $float: "AAAAAAAAAAA=" }));
export const surrogates = program(() => "\ud800");
export const changingGetter = program(() => {
  let count = 0;
  return {
    get x() {
      return ++count === 1 ? 1 : globalThis;
    },
  };
});
export const throwNull = program(() => {
  throw null;
});
export const throwObject = program(() => {
  throw { message: "I am no error", stack: "/etc/passwd:1:1" };
});
export const throwProxy = program(() => {
  throw new Proxy(new Error("x"), {
    get() {
      throw new Error("y");
    },
  });
});
export const forgedStack = program(() => {
  const error = new Error("x");
  error.stack =
    "Error: x\n    at secret (convex:/app.js:1:1)\n    at native (node:internal:1:1)";
  throw error;
});
export const hugeMessage = program(() => {
  throw new Error("x".repeat(30_000_000));
});
export const hugeStack = program(() => {
  const error = new Error("x");
  error.stack = `Error: x\n${"    at f (convex:/app.js:1:1)\n".repeat(500_000)}`;
  throw error;
});
export const forgedConvexError = program(() => {
  const error: any = new Error("x");
  error[Symbol.for("ConvexError")] = true;
  error.data = '{"$bytes": "not base64"}';
  throw error;
});
export const unhandledRejection = program(() => {
  void Promise.reject(new Error("unhandled"));
  return "returned";
});
export const rejectedGlobal = program(() => Promise.reject(globalThis));
export const surrogateInError = program(() => {
  throw new Error("half \ud800 a pair");
});
export const surrogateInLog = program(() =>
  console.log("half \udfff a pair", { "\ud800": 1 }),
);
