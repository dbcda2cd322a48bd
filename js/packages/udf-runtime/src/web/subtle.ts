/**
 * `crypto.subtle` (Web Cryptography). Checks and conversions happen here; the worker computes on
 * copies of the bytes and keeps nothing. What needs fresh randomness is for actions only
 * (specification 3.3).
 */
import {
  copyBytes,
  domError,
  isSymmetric,
  normalizeAlgorithm,
  toUsages,
} from "./crypto_algorithms.ts";
import type { Algorithm, Usage } from "./crypto_algorithms.ts";
import { CryptoKey, materialOf, partsOf } from "./crypto_key.ts";
import { exportKeyAs, generateKeys, importKeyFrom } from "./crypto_keys.ts";
import type { Jwk, KeyFormat } from "./crypto_keys.ts";
import { callCrypto } from "./crypto_host.ts";
import { finishInterface, requireArguments } from "./web_idl.ts";

const ITERATIONS_MAX = 10_000_000;
const GCM_TAG_BITS = [32, 64, 96, 104, 112, 120, 128];
const CURVE_BITS: Record<string, number> = { "P-256": 256, "P-384": 384, "P-521": 528 };
/** These draw numbers that nobody may guess. */
const RANDOM_SIGNATURES = ["ECDSA", "RSA-PSS"];

export function requireSecureRandomness(): void {
  if (fenchel.executing() === null) {
    throw new Error("Cannot use cryptographic randomness at import time");
  }
  fenchel.requireAction("cryptographic randomness");
}

function checkKey(key: unknown, algorithm: Algorithm, usage: Usage): CryptoKey {
  if (!(key instanceof CryptoKey)) throw new TypeError("The key is not a CryptoKey");
  const parts = partsOf(key);
  if (parts.algorithm.name !== algorithm.name) {
    throw domError("The key is for another algorithm", "InvalidAccessError");
  }
  if (!parts.usages.includes(usage)) {
    throw domError(`The key cannot be used for "${usage}"`, "InvalidAccessError");
  }
  return key;
}

function operationError(message: string): Error {
  return domError(message, "OperationError");
}

function crypt(isEncryption: boolean, algorithm: Algorithm, key: CryptoKey, data: Uint8Array) {
  const { name } = algorithm;
  if (name === "RSA-OAEP") {
    if (isEncryption) requireSecureRandomness();
    const hash = partsOf(key).algorithm.hash?.name;
    const label = algorithm.label ?? new Uint8Array(0);
    return callCrypto("rsaOaep", { isEncryption, hash }, materialOf(key), data, label);
  }
  const iv = algorithm.iv ?? algorithm.counter ?? new Uint8Array(0);
  if (name !== "AES-GCM" && iv.length !== 16) {
    throw operationError(`The initial vector or counter of ${name} must have 16 bytes`);
  }
  if (name === "AES-CTR" && !(algorithm.length! >= 1 && algorithm.length! <= 128)) {
    throw operationError("The counter's length must be between 1 and 128 bits");
  }
  const tagBits = algorithm.tagLength ?? 128;
  if (name === "AES-GCM" && !GCM_TAG_BITS.includes(tagBits)) {
    throw operationError(`A tag of ${tagBits} bits is not possible`);
  }
  const parameters = { isEncryption, name, tagBits, counterBits: algorithm.length };
  const additional = algorithm.additionalData ?? new Uint8Array(0);
  return callCrypto("aes", parameters, materialOf(key), iv, data, additional);
}

function signatureParameters(algorithm: Algorithm, key: CryptoKey): object {
  const { hash } = partsOf(key).algorithm;
  const { name, saltLength } = algorithm;
  return { name, hash: algorithm.hash ?? hash?.name, saltLength };
}

function checkSide(key: CryptoKey, type: "private" | "public"): void {
  const { type: actual } = partsOf(key);
  if (actual !== "secret" && actual !== type) {
    throw domError(`This needs a ${type} key`, "InvalidAccessError");
  }
}

function derive(algorithm: Algorithm, key: CryptoKey, bits: number | null): ArrayBuffer {
  const { name } = algorithm;
  if (name === "ECDH" || name === "X25519") return agree(algorithm, key, bits);
  if (bits === null || bits % 8 !== 0) {
    throw operationError("The length must be a multiple of 8 bits");
  }
  if (bits === 0) return new ArrayBuffer(0);
  const { hash, salt, info, iterations = 0 } = algorithm;
  const bytes = bits / 8;
  if (name === "HKDF") {
    return callCrypto("hkdf", { hash, bytes }, materialOf(key), salt!, info!);
  }
  if (iterations === 0 || iterations > ITERATIONS_MAX) {
    throw operationError(`The number of iterations must be between 1 and ${ITERATIONS_MAX}`);
  }
  return callCrypto("pbkdf2", { hash, bytes, iterations }, materialOf(key), salt!);
}

function agree(algorithm: Algorithm, key: CryptoKey, bits: number | null): ArrayBuffer {
  checkSide(key, "private");
  const other = algorithm.public as CryptoKey;
  const [mine, theirs] = [partsOf(key), partsOf(other)];
  if (theirs.type !== "public") throw domError("This needs a public key", "InvalidAccessError");
  if (
    theirs.algorithm.name !== mine.algorithm.name ||
    theirs.algorithm.namedCurve !== mine.algorithm.namedCurve
  ) {
    throw domError("The keys are for different algorithms or curves", "InvalidAccessError");
  }
  const secret = callCrypto("agree", {}, mine.material, theirs.material);
  if (bits === null) return secret;
  const available = CURVE_BITS[mine.algorithm.namedCurve ?? ""] ?? 256;
  if (bits > available) throw operationError(`The secret has ${available} bits, not ${bits}`);
  const cut = new Uint8Array(secret.slice(0, Math.ceil(bits / 8)));
  if (bits % 8 !== 0) cut[cut.length - 1]! &= 0xff << (8 - (bits % 8));
  return cut.buffer;
}

/** Bits of the key that `deriveKey` makes, null for as many as there are. */
function keyBits(algorithm: Algorithm): number | null {
  if (algorithm.name === "HKDF" || algorithm.name === "PBKDF2") return null;
  if (algorithm.name !== "HMAC") {
    if (![128, 192, 256].includes(algorithm.length!)) {
      throw operationError("An AES key has 128, 192 or 256 bits");
    }
    return algorithm.length!;
  }
  if (algorithm.length === 0) throw operationError("A key of no bits is not possible");
  return (
    algorithm.length ?? (algorithm.hash === "SHA-1" || algorithm.hash === "SHA-256" ? 512 : 1024)
  );
}

const FORMATS = ["raw", "spki", "pkcs8", "jwk"];

function toFormat(value: unknown): KeyFormat {
  const format = String(value);
  if (!FORMATS.includes(format)) throw new TypeError(`"${format}" is not a key format`);
  return format as KeyFormat;
}

/** Lets only this script make the one instance. */
const MAKE = Symbol("make");

export class SubtleCrypto {
  constructor(make: typeof MAKE) {
    if (make !== MAKE) throw new TypeError("Illegal constructor");
  }

  async digest(algorithm: unknown, data: unknown): Promise<ArrayBuffer> {
    requireArguments(arguments.length, 2, "digest");
    const bytes = copyBytes(data, "data");
    const { name } = normalizeAlgorithm("digest", algorithm);
    return callCrypto("digest", { hash: name }, bytes);
  }

  async encrypt(algorithm: unknown, key: unknown, data: unknown): Promise<ArrayBuffer> {
    requireArguments(arguments.length, 3, "encrypt");
    const normal = normalizeAlgorithm("encrypt", algorithm);
    const bytes = copyBytes(data, "data");
    return crypt(true, normal, checkKey(key, normal, "encrypt"), bytes);
  }

  async decrypt(algorithm: unknown, key: unknown, data: unknown): Promise<ArrayBuffer> {
    requireArguments(arguments.length, 3, "decrypt");
    const normal = normalizeAlgorithm("decrypt", algorithm);
    const bytes = copyBytes(data, "data");
    return crypt(false, normal, checkKey(key, normal, "decrypt"), bytes);
  }

  async sign(algorithm: unknown, key: unknown, data: unknown): Promise<ArrayBuffer> {
    requireArguments(arguments.length, 3, "sign");
    const normal = normalizeAlgorithm("sign", algorithm);
    const bytes = copyBytes(data, "data");
    const checked = checkKey(key, normal, "sign");
    checkSide(checked, "private");
    if (RANDOM_SIGNATURES.includes(normal.name)) requireSecureRandomness();
    const parameters = signatureParameters(normal, checked);
    return callCrypto("sign", parameters, materialOf(checked), bytes);
  }

  async verify(
    algorithm: unknown,
    key: unknown,
    signature: unknown,
    data: unknown,
  ): Promise<boolean> {
    requireArguments(arguments.length, 4, "verify");
    const normal = normalizeAlgorithm("verify", algorithm);
    const [claimed, bytes] = [copyBytes(signature, "signature"), copyBytes(data, "data")];
    const checked = checkKey(key, normal, "verify");
    checkSide(checked, "public");
    const parameters = signatureParameters(normal, checked);
    const answer = callCrypto("verify", parameters, materialOf(checked), bytes, claimed);
    return new Uint8Array(answer)[0] === 1;
  }

  async deriveBits(algorithm: unknown, key: unknown, length?: unknown): Promise<ArrayBuffer> {
    requireArguments(arguments.length, 2, "deriveBits");
    const normal = normalizeAlgorithm("deriveBits", algorithm);
    const bits = length === undefined || length === null ? null : Number(length) >>> 0;
    return derive(normal, checkKey(key, normal, "deriveBits"), bits);
  }

  async deriveKey(
    algorithm: unknown,
    key: unknown,
    derived: unknown,
    extractable: unknown,
    usages: unknown,
  ): Promise<CryptoKey> {
    requireArguments(arguments.length, 5, "deriveKey");
    const wanted = toUsages(usages);
    const normal = normalizeAlgorithm("deriveBits", algorithm);
    const target = normalizeAlgorithm("importKey", derived);
    const bits = keyBits(normalizeAlgorithm("keyLength", derived));
    const secret = derive(normal, checkKey(key, normal, "deriveKey"), bits);
    const made = importKeyFrom("raw", secret, target, Boolean(extractable), wanted);
    if (wanted.length === 0) throw domError("A secret key needs a usage", "SyntaxError");
    return made;
  }

  async generateKey(
    algorithm: unknown,
    extractable: unknown,
    usages: unknown,
  ): Promise<CryptoKey | { publicKey: CryptoKey; privateKey: CryptoKey }> {
    requireArguments(arguments.length, 3, "generateKey");
    const wanted = toUsages(usages);
    const normal = normalizeAlgorithm("generateKey", algorithm);
    requireSecureRandomness();
    return generateKeys(normal, Boolean(extractable), wanted);
  }

  async importKey(
    format: unknown,
    data: unknown,
    algorithm: unknown,
    extractable: unknown,
    usages: unknown,
  ): Promise<CryptoKey> {
    requireArguments(arguments.length, 5, "importKey");
    const [as, wanted] = [toFormat(format), toUsages(usages)];
    const normal = normalizeAlgorithm("importKey", algorithm);
    const isJwk = as === "jwk";
    if (isJwk && (typeof data !== "object" || data === null || copyable(data))) {
      throw new TypeError("The key data is not a JSON web key");
    }
    const material = isJwk ? ({ ...(data as Jwk) } as Jwk) : copyBytes(data, "keyData").buffer;
    const key = importKeyFrom(
      as,
      material as ArrayBuffer | Jwk,
      normal,
      Boolean(extractable),
      wanted,
    );
    if (key.type !== "public" && wanted.length === 0) {
      throw domError(`A ${key.type} key needs a usage`, "SyntaxError");
    }
    return key;
  }

  async exportKey(format: unknown, key: unknown): Promise<ArrayBuffer | Jwk> {
    requireArguments(arguments.length, 2, "exportKey");
    const as = toFormat(format);
    if (!(key instanceof CryptoKey)) throw new TypeError("The key is not a CryptoKey");
    const { name } = partsOf(key).algorithm;
    if (isSymmetric(name) && (name === "HKDF" || name === "PBKDF2")) {
      throw domError(`Keys for ${name} cannot be exported`, "NotSupportedError");
    }
    if (!partsOf(key).extractable)
      throw domError("The key is not extractable", "InvalidAccessError");
    return exportKeyAs(as, key);
  }

  wrapKey(): never {
    return fenchel.throwUncatchable(notImplemented("wrapKey"));
  }

  unwrapKey(): never {
    return fenchel.throwUncatchable(notImplemented("unwrapKey"));
  }
}

function copyable(data: object): boolean {
  return ArrayBuffer.isView(data) || data instanceof ArrayBuffer;
}

function notImplemented(op: string): string {
  return (
    `Not implemented: ${op} for SubtleCrypto. Consider calling an action defined in Node.js ` +
    "instead (https://docs.convex.dev/functions/actions)."
  );
}

finishInterface(SubtleCrypto, "SubtleCrypto");

export const subtle = new SubtleCrypto(MAKE);
