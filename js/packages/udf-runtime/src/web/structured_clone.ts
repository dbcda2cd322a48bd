/** `structuredClone` without transfer, from core-js. */
import { throwUncatchable } from "../state.ts";
import { loadVendor } from "../vendor.ts";

const { structuredClone: clone } = loadVendor("clone");

export function structuredClone(value: unknown, options?: { transfer?: unknown[] }): unknown {
  if (options?.transfer !== undefined && options.transfer.length > 0) {
    throwUncatchable("Not implemented: transfer for structuredClone");
  }
  return clone(value);
}
