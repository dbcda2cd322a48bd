/**
 * Intrinsics as they were before user code ran: the runtime keeps working when user code patches
 * them.
 */

export const { parse: parseJson, stringify: stringifyJson } = JSON;
export const NativeDate = Date;
export const nativeNow = Date.now;
export const NativeError = Error;
export const NativeTypeError = TypeError;
export const NativePromise = Promise;
export const { apply: reflectApply, construct: reflectConstruct, get: reflectGet } = Reflect;
export const { defineProperty, getOwnPropertyDescriptor, getOwnPropertyNames } = Object;

const nativeThen = Promise.prototype.then;

/** Reacts to a native promise without looking at a `then` that user code may have replaced. */
export function thenNative(
  promise: Promise<unknown>,
  onFulfilled: (value: unknown) => void,
  onRejected: (error: unknown) => void,
): void {
  reflectApply(nativeThen, promise, [onFulfilled, onRejected]);
}

const { includes, startsWith } = String.prototype;

/** `text.startsWith(start)`, whatever user code made of that. */
export function hasStart(text: string, start: string): boolean {
  return reflectApply(startsWith, text, [start]);
}

/** `text.includes(part)`, whatever user code made of that. */
export function hasPart(text: string, part: string): boolean {
  return reflectApply(includes, text, [part]);
}
