/** Algorithms of `crypto.subtle`: their parameters and what their keys may do (Web Cryptography). */
import { viewBytes } from "./bytes.ts";
import { CryptoKey } from "./crypto_key.ts";
import { toDictionary } from "./web_idl.ts";

export type Operation =
  | "encrypt"
  | "decrypt"
  | "sign"
  | "verify"
  | "digest"
  | "deriveBits"
  | "generateKey"
  | "importKey"
  | "keyLength";

/** An algorithm with its parameters converted and copied. */
export interface Algorithm {
  name: string;
  hash?: string;
  length?: number;
  tagLength?: number;
  saltLength?: number;
  iterations?: number;
  modulusLength?: number;
  namedCurve?: string;
  iv?: Uint8Array;
  counter?: Uint8Array;
  additionalData?: Uint8Array;
  label?: Uint8Array;
  salt?: Uint8Array;
  info?: Uint8Array;
  publicExponent?: Uint8Array;
  public?: CryptoKey;
}

/** Names of parameters; those that end with "?" may be absent. */
type Parameters = readonly string[];

const HASHES: Record<string, Parameters> = {
  "SHA-1": [],
  "SHA-256": [],
  "SHA-384": [],
  "SHA-512": [],
};
const CIPHERS: Record<string, Parameters> = {
  "RSA-OAEP": ["label?"],
  "AES-CBC": ["iv"],
  "AES-CTR": ["counter", "length"],
  "AES-GCM": ["iv", "additionalData?", "tagLength?"],
};
const SIGNATURES: Record<string, Parameters> = {
  "RSASSA-PKCS1-v1_5": [],
  "RSA-PSS": ["saltLength"],
  ECDSA: ["hash"],
  Ed25519: [],
  HMAC: [],
};
const RSA = ["modulusLength", "publicExponent", "hash"];

const OPERATIONS: Record<Operation, Record<string, Parameters>> = {
  digest: HASHES,
  encrypt: CIPHERS,
  decrypt: CIPHERS,
  sign: SIGNATURES,
  verify: SIGNATURES,
  deriveBits: {
    HKDF: ["hash", "salt", "info"],
    PBKDF2: ["salt", "iterations", "hash"],
    ECDH: ["public"],
    X25519: ["public"],
  },
  generateKey: {
    "RSASSA-PKCS1-v1_5": RSA,
    "RSA-PSS": RSA,
    "RSA-OAEP": RSA,
    ECDSA: ["namedCurve"],
    ECDH: ["namedCurve"],
    Ed25519: [],
    X25519: [],
    HMAC: ["hash", "length?"],
    "AES-CBC": ["length"],
    "AES-CTR": ["length"],
    "AES-GCM": ["length"],
  },
  importKey: {
    "RSASSA-PKCS1-v1_5": ["hash"],
    "RSA-PSS": ["hash"],
    "RSA-OAEP": ["hash"],
    ECDSA: ["namedCurve"],
    ECDH: ["namedCurve"],
    Ed25519: [],
    X25519: [],
    HMAC: ["hash", "length?"],
    "AES-CBC": [],
    "AES-CTR": [],
    "AES-GCM": [],
    HKDF: [],
    PBKDF2: [],
  },
  keyLength: {
    "AES-CBC": ["length"],
    "AES-CTR": ["length"],
    "AES-GCM": ["length"],
    HMAC: ["hash", "length?"],
    HKDF: [],
    PBKDF2: [],
  },
};

export function domError(message: string, name: string): Error {
  return new fenchel.DOMException(message, name);
}

/** Raises NotSupportedError for an unknown algorithm, TypeError for parameters of a wrong type. */
export function normalizeAlgorithm(operation: Operation, input: unknown): Algorithm {
  const isText = typeof input === "string";
  const given = isText ? { name: input } : toDictionary(input, "The algorithm");
  if (given["name"] === undefined) throw new TypeError("The algorithm lacks a name");
  const wanted = String(given["name"]).toLowerCase();
  const known = OPERATIONS[operation];
  const name = Object.keys(known).find((other) => other.toLowerCase() === wanted);
  if (name === undefined) {
    throw domError(`The algorithm ${String(given["name"])} is not supported`, "NotSupportedError");
  }
  const algorithm: Record<string, unknown> & { name: string } = { name };
  for (const text of known[name] as Parameters) {
    const parameter = text.replace("?", "");
    const value = given[parameter];
    if (value !== undefined) algorithm[parameter] = convert(parameter, value);
    else if (!text.endsWith("?")) throw new TypeError(`The algorithm lacks "${parameter}"`);
  }
  return algorithm as Algorithm;
}

function convert(parameter: string, value: unknown): unknown {
  switch (parameter) {
    case "hash":
      return normalizeAlgorithm("digest", value).name;
    case "namedCurve":
      return String(value);
    case "public":
      if (!(value instanceof CryptoKey)) throw new TypeError('"public" is not a CryptoKey');
      return value;
    case "publicExponent":
      if (!(value instanceof Uint8Array)) {
        throw new TypeError('"publicExponent" is not a Uint8Array');
      }
      return value.slice();
    case "length":
    case "tagLength":
    case "saltLength":
    case "iterations":
    case "modulusLength":
      return toInteger(parameter, value);
    default:
      return copyBytes(value, parameter);
  }
}

function toInteger(parameter: string, value: unknown): number {
  const number = Math.trunc(Number(value));
  if (!(number >= 0 && number <= 0xffffffff)) throw new TypeError(`"${parameter}" is out of range`);
  return number;
}

export function copyBytes(value: unknown, what: string): Uint8Array {
  const bytes = viewBytes(value);
  if (bytes === undefined) throw new TypeError(`"${what}" is not a buffer source`);
  return bytes.slice();
}

export type Usage =
  "encrypt" | "decrypt" | "sign" | "verify" | "deriveKey" | "deriveBits" | "wrapKey" | "unwrapKey";

const USAGES: readonly Usage[] = [
  "encrypt",
  "decrypt",
  "sign",
  "verify",
  "deriveKey",
  "deriveBits",
  "wrapKey",
  "unwrapKey",
];

/** In one order, without repetitions. Raises TypeError. */
export function toUsages(value: unknown): Usage[] {
  if (typeof value !== "object" || value === null || !(Symbol.iterator in value)) {
    throw new TypeError("Key usages are not a sequence");
  }
  const given = [...(value as Iterable<unknown>)].map(String);
  const unknown = given.find((usage) => !(USAGES as readonly string[]).includes(usage));
  if (unknown !== undefined) throw new TypeError(`"${unknown}" is not a key usage`);
  return USAGES.filter((usage) => given.includes(usage));
}

export type KeyType = "secret" | "public" | "private";

/** What keys of an algorithm may be used for. */
export function possibleUsages(name: string, type: KeyType): readonly Usage[] {
  if (name.startsWith("AES")) return ["encrypt", "decrypt", "wrapKey", "unwrapKey"];
  switch (name) {
    case "HMAC":
      return ["sign", "verify"];
    case "HKDF":
    case "PBKDF2":
      return ["deriveKey", "deriveBits"];
    case "RSA-OAEP":
      return type === "public" ? ["encrypt", "wrapKey"] : ["decrypt", "unwrapKey"];
    case "ECDH":
    case "X25519":
      return type === "public" ? [] : ["deriveKey", "deriveBits"];
    default:
      return type === "public" ? ["verify"] : ["sign"];
  }
}

/** Raises SyntaxError for a usage that such a key cannot have, or for a key without any. */
export function checkUsages(name: string, type: KeyType, usages: readonly Usage[]): void {
  const possible = possibleUsages(name, type);
  const wrong = usages.find((usage) => !possible.includes(usage));
  if (wrong !== undefined) {
    throw domError(`A ${type} key for ${name} cannot be used to ${wrong}`, "SyntaxError");
  }
}

export function isSymmetric(name: string): boolean {
  return name.startsWith("AES") || ["HMAC", "HKDF", "PBKDF2"].includes(name);
}

export const HASH_BLOCK_BITS: Record<string, number> = {
  "SHA-1": 512,
  "SHA-256": 512,
  "SHA-384": 1024,
  "SHA-512": 1024,
};

export const CURVES = ["P-256", "P-384", "P-521"];
