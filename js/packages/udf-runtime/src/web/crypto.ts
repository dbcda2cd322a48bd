/** `crypto`: random values come from the realm's seed (specification 3.3). */
import { fillRandom } from "../random.ts";
import { loadVendor } from "../vendor.ts";
import { DOMException } from "./dom_exception.ts";
import { finishInterface } from "./web_idl.ts";

const QUOTA_BYTES = 65_536;

type IntegerArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;

function getRandomValues<T extends IntegerArray>(array: T): T {
  if (
    !ArrayBuffer.isView(array) ||
    /^Float|^DataView/.test(Object(array)[Symbol.toStringTag] ?? "DataView")
  ) {
    throw new DOMException(
      "The data provided is not an integer-type TypedArray",
      "TypeMismatchError",
    );
  }
  if (array.byteLength > QUOTA_BYTES) {
    throw new DOMException(
      `The ArrayBufferView's byte length (${array.byteLength}) exceeds ${QUOTA_BYTES}`,
      "QuotaExceededError",
    );
  }
  fillRandom(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return array;
}

function randomUUID(): string {
  const bytes = new Uint8Array(16);
  fillRandom(bytes);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}

/** Lets only this file make the one instance. */
const MAKE = Symbol("make");

export class Crypto {
  constructor(make: typeof MAKE) {
    if (make !== MAKE) throw new TypeError("Illegal constructor");
  }

  get subtle(): object {
    return loadVendor("subtle").subtle;
  }

  getRandomValues<T extends IntegerArray>(array: T): T {
    return getRandomValues(array);
  }

  randomUUID(): string {
    return randomUUID();
  }
}

finishInterface(Crypto, "Crypto");

export const crypto = new Crypto(MAKE);
