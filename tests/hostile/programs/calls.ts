/** System calls as no library would make them. All must be refused; none may confuse the host. */
import { attemptAsync, convex, program, writing } from "./hostile";

const ask = (op: unknown, args: unknown) =>
  attemptAsync(() => convex.asyncSyscall(op, args));
const text = (value: unknown) => JSON.stringify(value);

export const unknownOperation = program(() => ask("fenchel/nonsense", "{}"));
export const operationOfHost = program(() => ask("fenchel/mapFrames", "{}"));
export const elapsedOfHost = program(() => ask("fenchel/elapsedMs", ""));
export const vendorOfHost = program(() => ask("fenchel/vendor", "url"));
export const syncVendor = program(() =>
  attemptAsync(() => convex.syscall("fenchel/vendor", "x")),
);
export const syncFrames = program(() =>
  attemptAsync(() => convex.syscall("fenchel/mapFrames", text([[1, 2, "x"]]))),
);
export const brokenFrames = program(() =>
  attemptAsync(() => convex.syscall("fenchel/mapFrames", "not json")),
);
export const bytesOfHost = program(() =>
  attemptAsync(() => convex.syscall("fenchel/sendBytes", "[]")),
);
export const fetchOfHost = program(() => ask("fenchel/fetch", "{}"));
export const emptyOperation = program(() => ask("", ""));
export const operationWithNul = program(() => ask("1.0/get\0", "{}"));
export const operationWithNewline = program(() => ask("1.0/get\n\n", "{}\n{}"));
export const longOperation = program(() => ask("x".repeat(1_000_000), "{}"));
export const loneSurrogates = program(() =>
  ask("\ud800", text({ id: "\udfff" })),
);
export const surrogatesInId = program(() => ask("1.0/get", '{"id":"\\ud800"}'));
export const notJson = program(() => ask("1.0/get", "{"));
export const trailingJson = program(() => ask("1.0/get", "{}{}"));
export const arrayArguments = program(() => ask("1.0/get", "[]"));
export const nullArguments = program(() => ask("1.0/get", "null"));
export const deepArguments = program(() =>
  ask("1.0/get", "[".repeat(1_000_000)),
);
export const deepObjectArguments = program(() =>
  ask("1.0/get", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`),
);
export const numbersOutOfRange = program(() =>
  ask("fenchel/queryPage", '{"queryId":1e999}'),
);
export const negativeQuery = program(() =>
  ask("fenchel/queryPage", '{"queryId":-1,"consumed":[]}'),
);
export const unknownQuery = program(() =>
  ask("fenchel/queryPage", '{"queryId":7,"consumed":[]}'),
);
export const forgedConsumption = program(() =>
  ask("fenchel/queryPage", '{"queryId":0,"consumed":[[5,1000000,1]]}'),
);
export const idOfSystemTable = program(() =>
  ask("1.0/get", text({ id: "_modules", isSystem: true })),
);
export const queryOfSystemTable = program((ctx) =>
  attemptAsync(() => ctx.db.query("_modules").collect()),
);
export const queryOfPrivateTable = program((ctx) =>
  attemptAsync(() => ctx.db.system.query("_environment_variables").collect()),
);
export const writeInQuery = program(() =>
  ask("1.0/insert", text({ table: "t", value: {} })),
);
export const deleteInQuery = program(() =>
  ask("1.0/remove", text({ id: "x" })),
);
export const scheduleInQuery = program(() =>
  ask("1.0/schedule", text({ name: "probe:clean", ts: 1, args: {} })),
);
export const actionInQuery = program(() =>
  ask(
    "1.0/actions/mutation",
    text({ name: "calls:insertSystem", args: {}, version: "1" }),
  ),
);
export const mutationInQuery = program(() =>
  ask(
    "1.0/runUdf",
    text({ udfType: "mutation", name: "calls:insertSystem", args: {} }),
  ),
);
export const insertSystem = writing((ctx) =>
  attemptAsync(() => ctx.db.insert("_modules", {})),
);
export const insertWithId = writing((ctx) =>
  attemptAsync(() => ctx.db.insert("t", { _id: "x" })),
);
export const insertPrototype = writing(() =>
  ask(
    "1.0/insert",
    '{"table":"t","value":{"__proto__":{"polluted":true},"constructor":{}}}',
  ),
);
export const badTableName = writing((ctx) =>
  attemptAsync(() => ctx.db.insert("../t", {})),
);
export const badBytes = writing(() =>
  ask(
    "1.0/insert",
    text({ table: "t", value: { a: { $bytes: "not base64" } } }),
  ),
);
export const badInteger = writing(() =>
  ask("1.0/insert", text({ table: "t", value: { a: { $integer: "AAAA" } } })),
);
export const badFloat = writing(() =>
  ask(
    "1.0/insert",
    text({ table: "t", value: { a: { $float: "AAAAAAAA8D8=" } } }),
  ),
);
export const duplicateKeys = writing(() =>
  ask("1.0/insert", '{"table":"t","value":{"a":1,"a":2}}'),
);
export const manyAtOnce = program(() =>
  Promise.all(
    new Array(5_000).fill(0).map(() => ask("1.0/get", text({ id: "x" }))),
  ).then(() => "nothing"),
);
export const deepFilter = program(() => {
  let filter: any = { $literal: true };
  for (let i = 0; i < 5_000; i++) filter = { $not: filter };
  const source = { type: "FullTableScan", tableName: "t", order: null };
  const query = { source, operators: [{ filter }] };
  return ask("fenchel/queryPage", text({ queryId: 0, query, consumed: [] }));
});
export const manyOperators = program(() => {
  const source = { type: "FullTableScan", tableName: "t", order: null };
  const query = { source, operators: new Array(100_000).fill({ limit: 1 }) };
  return ask("fenchel/queryPage", text({ queryId: 0, query, consumed: [] }));
});
export const selfCall = program(() =>
  ask(
    "1.0/runUdf",
    text({ udfType: "query", name: "calls:selfCall", args: {} }),
  ),
);
