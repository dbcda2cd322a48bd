/** Functions that stand in for native ones, and properties that may not be touched. */
import {
  defineProperty,
  fault,
  getOwnPropertyDescriptor,
  ownKeys,
  phase,
  reflectApply,
  standIns,
} from "./state.ts";

export type Methods = Record<string, (...args: never[]) => unknown>;

/** Replaces methods, keeping names, lengths and attributes as the literal has them. */
export function replace(owner: object, methods: Methods): void {
  for (const name of ownKeys(methods) as string[]) {
    const original = getOwnPropertyDescriptor(owner, name);
    if (original === undefined) continue;
    const method = methods[name] as object;
    standIns.add(method);
    defineProperty(owner, name, { ...original, value: method });
  }
}

/** Makes properties fault when they are touched. */
export function forbid(owner: object, names: readonly PropertyKey[]): void {
  for (const name of names) {
    const what = `use of ${String(name)}`;
    const touch = (): void => fault(what);
    defineProperty(owner, name, { get: touch, set: touch, enumerable: false, configurable: true });
  }
}

/** Replaces methods by ones that call `before` (first argument, receiver), then the original. */
export function callBefore(owner: object, names: readonly PropertyKey[], before: Before): void {
  for (const name of names) {
    const original = getOwnPropertyDescriptor(owner, name)?.value as (() => unknown) | undefined;
    if (original === undefined) continue;
    const stand = {
      [name](this: unknown) {
        before(String(name), arguments[0], this);
        return reflectApply(original, this, arguments);
      },
    };
    defineProperty(stand[name as string] as object, "length", {
      value: original.length,
      configurable: true,
    });
    replace(owner, stand as Methods);
  }
}

export type Before = (name: string, first: unknown, receiver: unknown) => void;

export const faultAlways = (owner: object, names: readonly string[]): void =>
  callBefore(owner, names, (name) => fault(`use of ${name}`));

export const faultAtImport = (owner: object, names: readonly PropertyKey[]): void =>
  callBefore(owner, names, (name) => {
    if (phase === "import") fault(`${name} at import`);
  });
