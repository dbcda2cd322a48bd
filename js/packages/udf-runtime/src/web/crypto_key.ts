/** `CryptoKey`. Its material is bytes of the realm: raw for secrets, DER for the others. */
import type { KeyType, Usage } from "./crypto_algorithms.ts";
import { finishInterface } from "./web_idl.ts";

/** Describes the key as `algorithm` shows it. */
export interface KeyAlgorithm {
  name: string;
  hash?: { name: string };
  length?: number;
  namedCurve?: string;
  modulusLength?: number;
  publicExponent?: Uint8Array;
}

interface KeyParts {
  type: KeyType;
  extractable: boolean;
  algorithm: KeyAlgorithm;
  usages: readonly Usage[];
  material: ArrayBuffer;
}

/** Lets only this script make keys. */
const MAKE = Symbol("make");

/** Set by the class, which alone sees its private fields. */
export let materialOf: (key: CryptoKey) => ArrayBuffer;
/** The algorithm and usages, whatever user code did to the objects that it was shown. */
export let partsOf: (key: CryptoKey) => Readonly<KeyParts>;

export class CryptoKey {
  readonly #parts: KeyParts;
  readonly #shownAlgorithm: KeyAlgorithm;
  readonly #shownUsages: Usage[];

  constructor(make: typeof MAKE, parts: KeyParts) {
    if (make !== MAKE) throw new TypeError("Illegal constructor");
    this.#parts = parts;
    this.#shownAlgorithm = structuredCopy(parts.algorithm);
    this.#shownUsages = [...parts.usages];
  }

  get type(): KeyType {
    return this.#parts.type;
  }

  get extractable(): boolean {
    return this.#parts.extractable;
  }

  get algorithm(): KeyAlgorithm {
    return this.#shownAlgorithm;
  }

  get usages(): Usage[] {
    return this.#shownUsages;
  }

  static {
    materialOf = (key) => key.#parts.material;
    partsOf = (key) => key.#parts;
  }
}

function structuredCopy(algorithm: KeyAlgorithm): KeyAlgorithm {
  const { hash, publicExponent, ...rest } = algorithm;
  return {
    ...rest,
    ...(publicExponent && { publicExponent: publicExponent.slice() }),
    ...(hash && { hash: { ...hash } }),
  };
}

export function makeKey(parts: KeyParts): CryptoKey {
  return new CryptoKey(MAKE, parts);
}

finishInterface(CryptoKey, "CryptoKey");
