/**
 * The override mistake: `object.name = …` fails when a prototype has a frozen property of that
 * name, as `this.name = …` in the constructor of an error does. Where the app assigns a name, that
 * property of a prototype becomes an accessor which gives the object a property of its own, as the
 * language does when nothing is frozen. Descriptors would tell, but asking for those faults. What
 * the engine reads of errors, without calling accessors, stays data that executions may write to
 * and that is put back.
 */
import {
  defineProperty,
  fault,
  getOwnPropertyDescriptor,
  isExtensible,
  old,
  ownKeys,
  proxies,
} from "./state.ts";

const { hasOwn } = Object;

const { prototype: errors } = Error;

/** Others are too busy for accessors: the engine has fast ways for what they hold. */
const SOFT_INTRINSICS: readonly object[] = [Object.prototype, Function.prototype, errors];

const assigned = { __proto__: null } as unknown as Record<PropertyKey, true>;

export function allowOverrides(names: readonly string[]): void {
  for (let index = 0; index < names.length; index++) assigned[names[index] as string] = true;
}

/** Call before the object is frozen. */
export function softenPrototype(object: object, isIntrinsic: boolean): void {
  if (!(isIntrinsic ? isSoftIntrinsic(object) : isPrototypeOfClass(object))) return;
  const keys = ownKeys(object);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as PropertyKey;
    if (assigned[key] !== true || isReadByEngine(key)) continue;
    const descriptor = getOwnPropertyDescriptor(object, key) as PropertyDescriptor;
    if (descriptor.writable === true && descriptor.configurable === true) {
      soften(object, key, descriptor);
    }
  }
}

/** What the engine's own messages look at. */
function isReadByEngine(key: PropertyKey): boolean {
  return key === "name" || key === "message" || key === "constructor" || key === "toString";
}

/** Whether it stays writable, though nothing can be added to the object and all else is frozen. */
export function isPutBack(object: object, key: PropertyKey): boolean {
  return object === errors && (key === "name" || key === "message") && assigned[key] === true;
}

function isSoftIntrinsic(object: object): boolean {
  for (let index = 0; index < SOFT_INTRINSICS.length; index++) {
    if (SOFT_INTRINSICS[index] === object) return true;
  }
  return false;
}

function isPrototypeOfClass(object: object): boolean {
  const made = getOwnPropertyDescriptor(object, "constructor")?.value as unknown;
  if (typeof made !== "function") return false;
  return getOwnPropertyDescriptor(made, "prototype")?.value === object;
}

function soften(object: object, key: PropertyKey, { value, enumerable }: PropertyDescriptor): void {
  const accessor = {
    __proto__: null,
    get: () => value as unknown,
    set(this: unknown, next: unknown) {
      override(this, key, next);
    },
    enumerable,
    configurable: true,
  };
  defineProperty(object, key, accessor as PropertyDescriptor);
}

/** What assigning to an inherited property does. */
function override(receiver: unknown, key: PropertyKey, value: unknown): void {
  const isObject =
    (typeof receiver === "object" && receiver !== null) || typeof receiver === "function";
  if (!isObject || old.has(receiver) || proxies.has(receiver)) {
    return fault(`assigning ${String(key)} of what import made, or of no object`);
  }
  if (hasOwn(receiver, key) || !isExtensible(receiver)) return fault(`assigning ${String(key)}`);
  const property = { __proto__: null, value, writable: true, enumerable: true, configurable: true };
  defineProperty(receiver, key, property as PropertyDescriptor);
}
