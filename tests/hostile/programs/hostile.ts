import { actionGeneric, mutationGeneric, queryGeneric } from "convex/server";

/** Programs are untyped on purpose: they do what types forbid. */
type Program = (ctx: any) => unknown;

export const program = (handler: Program) =>
  queryGeneric({ args: {}, handler: async (ctx) => await handler(ctx) });
export const writing = (handler: Program) =>
  mutationGeneric({ args: {}, handler: async (ctx) => await handler(ctx) });
export const acting = (handler: Program) =>
  actionGeneric({ args: {}, handler: async (ctx) => await handler(ctx) });

/** Module state that every program can reach and `probe` looks at. */
export const shared: Record<string, unknown> = { touched: 0 };

export const convex = (globalThis as any).Convex;
export const global = globalThis as any;

const HOST_NAMES = [
  "process",
  "require",
  "Buffer",
  "module",
  "ivm",
  "isolate",
  "__dirname",
];
const { Function: OwnFunction, Object: OwnObject } = globalThis;

/** Whether a value comes from another realm or lets code run in one; `null` when it does not. */
export function leak(value: unknown): string | null {
  if (
    (typeof value !== "object" && typeof value !== "function") ||
    value === null
  )
    return null;
  let last: object = value as object;
  for (let next = last; next !== null; next = OwnObject.getPrototypeOf(next))
    last = next;
  if (typeof value === "function" && last !== OwnObject.prototype)
    return "a foreign function";
  const maker = (value as any).constructor?.constructor;
  if (maker === undefined || maker === OwnFunction) return null;
  for (const name of HOST_NAMES) {
    if (maker(`return typeof ${name}`)() !== "undefined")
      return `a host with ${name}`;
  }
  return "a foreign constructor";
}

/** What an attempt finds or throws, looked at. A program that returns "nothing" found nothing. */
export function attempt(steal: () => unknown): string {
  let found: unknown;
  try {
    found = steal();
  } catch (error) {
    found = error;
  }
  return leak(found) ?? "nothing";
}

export async function attemptAsync(steal: () => unknown): Promise<string> {
  let found: unknown;
  try {
    found = await steal();
  } catch (error) {
    found = error;
  }
  return leak(found) ?? "nothing";
}
