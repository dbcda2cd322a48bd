/** `structuredClone` without transfer, from core-js. */
import clone from "core-js-pure/actual/structured-clone.js";
import { throwUncatchable } from "../state.ts";

export function structuredClone(value: unknown, options?: { transfer?: unknown[] }): unknown {
  if (options?.transfer !== undefined && options.transfer.length > 0) {
    throwUncatchable("Not implemented: transfer for structuredClone");
  }
  return clone(value);
}
