/**
 * Web APIs that executions may use in this realm: those that the app's code names. Their packages
 * are evaluated before the app and keep no state but tables that everybody may share; the app finds
 * their globals as in a fresh realm, where the first use evaluates them. All other web APIs make
 * the guard fault when they are touched.
 */
import { addProbe } from "./brands.ts";
import { forbid, replace } from "./replacements.ts";
import {
  defineProperty,
  fault,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  old,
  ownKeys,
  phase,
  reflectApply,
  trust,
} from "./state.ts";
import type { List } from "./state.ts";

/** Web APIs whose objects lead to those of others. */
const COMPANIONS: Readonly<Record<string, readonly string[]>> = {
  URL: ["URLSearchParams"],
  URLSearchParams: ["URL"],
  atob: ["DOMException"],
  btoa: ["DOMException"],
  crypto: ["Crypto", "DOMException"],
  structuredClone: ["DOMException"],
};

/** Objects of the packages that no property of the global object leads to yet. */
export const webObjects: unknown[] = [];

interface WebApi {
  name: string;
  value: unknown;
}

let webApis: List<WebApi> | null = null;

const global = globalThis as Record<string, unknown>;
const getterOf = (name: PropertyKey): unknown => getOwnPropertyDescriptor(global, name)?.get;

/** Call before the app is evaluated. */
export function loadWebApis(names: readonly string[]): void {
  const lazy = (ownKeys(global) as string[])
    .filter((name) => getterOf(name) !== undefined)
    .map((name) => [name, getOwnPropertyDescriptor(global, name) as PropertyDescriptor] as const);
  trust(() => {
    for (const name of names) {
      webApis = { value: { name, value: global[name] }, next: webApis };
      webObjects.push(global[name], ...(COMPANIONS[name] ?? []).map((other) => global[other]));
    }
    webObjects.push(...guardHidden(new Set(webObjects)));
  });
  for (const [name, descriptor] of lazy) {
    if (names.includes(name)) defineProperty(global, name, descriptor);
    else forbid(global, [name]);
  }
}

/** What classes hide; their objects can change where no property leads. */
function guardHidden(loaded: ReadonlySet<unknown>): unknown[] {
  const made: unknown[] = [];
  if (loaded.has(global["URL"])) {
    const iterator = getPrototypeOf(new URLSearchParams().entries()) as object;
    made.push(iterator);
    addProbe("URL", getOwnPropertyDescriptor(URL.prototype, "href")?.get);
    addProbe("URLSearchParams", getOwnPropertyDescriptor(URLSearchParams.prototype, "size")?.get);
    addProbe("URLSearchParams Iterator", getOwnPropertyDescriptor(iterator, "next")?.value);
  }
  if (loaded.has(global["TextDecoder"])) guardDecoder();
  return made;
}

/** A decoder knows where the last piece of a stream ended. */
function guardDecoder(): void {
  const { decode } = TextDecoder.prototype as unknown as { decode: () => string };
  replace(TextDecoder.prototype, {
    decode(this: object, _input: unknown) {
      const isShared = phase === "import" || old.has(this);
      if (isShared && arguments.length > 1) fault("options of a TextDecoder made at import");
      return reflectApply(decode, this, arguments) as unknown;
    },
  });
}

/**
 * Call after import. `isPatched`: the app changed intrinsics, which packages evaluated later would
 * have seen.
 */
export function settleWebApis(isPatched: boolean): void {
  for (let entry = webApis; entry !== null; entry = entry.next) {
    const { name, value } = entry.value;
    const isUntouched = getterOf(name) !== undefined;
    if (isPatched && isUntouched) forbid(global, [name]);
    else if (isPatched && global[name] === value) fault(`${name} beside changed builtins`);
    else if (isUntouched) {
      const property = { __proto__: null, value, writable: true, enumerable: false };
      defineProperty(global, name, property as PropertyDescriptor);
    }
  }
}
