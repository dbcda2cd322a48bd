/** Making, importing and exporting keys of `crypto.subtle`. */
import {
  CURVES,
  HASH_BLOCK_BITS,
  checkUsages,
  domError,
  isSymmetric,
  possibleUsages,
} from "./crypto_algorithms.ts";
import type { Algorithm, KeyType, Usage } from "./crypto_algorithms.ts";
import { callCrypto, callCryptoForAll } from "./crypto_host.ts";
import { CryptoKey, makeKey, partsOf } from "./crypto_key.ts";
import type { KeyAlgorithm } from "./crypto_key.ts";

export type KeyFormat = "raw" | "spki" | "pkcs8" | "jwk";
export type Jwk = Record<string, unknown>;

const MODULUS_BITS_MAX = 4096;
const OKP = ["Ed25519", "X25519"];

function dataError(message: string): Error {
  return domError(message, "DataError");
}

// --- Base64 as JSON web keys have it ---

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function encodeBase64Url(buffer: ArrayBuffer): string {
  const bytes = new Uint8Array(buffer);
  let text = "";
  for (let index = 0; index < bytes.length; index += 3) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(index, index + 3);
    const bits = (first << 16) | (second << 8) | third;
    for (let sextet = 0; sextet <= Math.min(3, bytes.length - index); sextet++) {
      text += ALPHABET[(bits >> (18 - 6 * sextet)) & 63];
    }
  }
  return text;
}

function decodeBase64Url(text: unknown): ArrayBuffer {
  if (typeof text !== "string" || /[^A-Za-z0-9_-]/.test(text) || text.length % 4 === 1) {
    throw dataError("The JSON web key holds no valid base64url");
  }
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let written = 0;
  for (let index = 0; index < text.length; index++) {
    bits = (bits << 6) | ALPHABET.indexOf(text[index] as string);
    const phase = index % 4;
    if (phase > 0) bytes[written++] = (bits >> (6 - 2 * phase)) & 0xff;
  }
  return bytes.buffer;
}

// --- Names in JSON web keys ---

function jwkAlgorithm(algorithm: KeyAlgorithm): string | undefined {
  const digits = algorithm.hash?.name.replace("SHA-", "") ?? "";
  switch (algorithm.name) {
    case "HMAC":
      return `HS${digits}`;
    case "RSASSA-PKCS1-v1_5":
      return `RS${digits}`;
    case "RSA-PSS":
      return `PS${digits}`;
    case "RSA-OAEP":
      return digits === "1" ? "RSA-OAEP" : `RSA-OAEP-${digits}`;
    case "Ed25519":
      return "EdDSA";
    default:
      if (!algorithm.name.startsWith("AES")) return undefined;
      return `A${algorithm.length}${algorithm.name.slice(4)}`;
  }
}

function checkJwk(jwk: Jwk, algorithm: KeyAlgorithm, extractable: boolean, usages: Usage[]): void {
  const isSignature = ["HMAC", "RSASSA-PKCS1-v1_5", "RSA-PSS", "ECDSA", "Ed25519"];
  const use = isSignature.includes(algorithm.name) ? "sig" : "enc";
  if (usages.length > 0 && jwk["use"] !== undefined && jwk["use"] !== use) {
    throw dataError(`"use" of the JSON web key is not "${use}"`);
  }
  const allowed = jwk["key_ops"];
  if (allowed !== undefined) {
    if (!Array.isArray(allowed) || new Set(allowed).size !== allowed.length) {
      throw dataError('"key_ops" of the JSON web key is not a list without repetitions');
    }
    if (usages.some((usage) => !allowed.includes(usage))) {
      throw dataError('"key_ops" of the JSON web key does not contain all usages');
    }
  }
  if (jwk["ext"] === false && extractable) throw dataError("The JSON web key is not extractable");
  const expected = jwkAlgorithm(algorithm);
  const isAgreement = algorithm.name === "Ed25519" && jwk["alg"] === "Ed25519";
  if (
    expected !== undefined &&
    jwk["alg"] !== undefined &&
    jwk["alg"] !== expected &&
    !isAgreement
  ) {
    throw dataError(`"alg" of the JSON web key is not "${expected}"`);
  }
}

// --- Import ---

/** Raises DataError, SyntaxError or NotSupportedError. */
export function importKeyFrom(
  format: KeyFormat,
  data: ArrayBuffer | Jwk,
  algorithm: Algorithm,
  extractable: boolean,
  usages: Usage[],
): CryptoKey {
  return isSymmetric(algorithm.name)
    ? importSecret(format, data, algorithm, extractable, usages)
    : importPair(format, data, algorithm, extractable, usages);
}

function importSecret(
  format: KeyFormat,
  data: ArrayBuffer | Jwk,
  { name, hash, length }: Algorithm,
  extractable: boolean,
  usages: Usage[],
): CryptoKey {
  const isDerivation = name === "HKDF" || name === "PBKDF2";
  if (format !== "raw" && (format !== "jwk" || isDerivation)) {
    throw domError(`Keys for ${name} cannot be imported as ${format}`, "NotSupportedError");
  }
  checkUsages(name, "secret", usages);
  if (isDerivation) {
    if (extractable) throw domError(`Keys for ${name} cannot be extractable`, "SyntaxError");
    const material = data as ArrayBuffer;
    return makeKey({ type: "secret", extractable, algorithm: { name }, usages, material });
  }
  const jwk = format === "jwk" ? (data as Jwk) : null;
  if (jwk !== null && jwk["kty"] !== "oct")
    throw dataError('"kty" of the JSON web key is not "oct"');
  const material = jwk === null ? (data as ArrayBuffer) : decodeBase64Url(jwk["k"]);
  const bits = material.byteLength * 8;
  let keyAlgorithm: KeyAlgorithm = { name, length: bits };
  if (name === "HMAC") {
    if (bits === 0) throw dataError("The key is empty");
    if (length !== undefined && (length > bits || length <= bits - 8)) {
      throw dataError(`The key has ${bits} bits, not ${length}`);
    }
    keyAlgorithm = { name, hash: { name: hash as string }, length: length ?? bits };
  } else if (![128, 192, 256].includes(bits)) {
    throw dataError("An AES key has 128, 192 or 256 bits");
  }
  if (jwk !== null) checkJwk(jwk, keyAlgorithm, extractable, usages);
  return makeKey({ type: "secret", extractable, algorithm: keyAlgorithm, usages, material });
}

/** What the worker found out about a key pair's half. */
interface KeyFacts {
  type: "public" | "private";
  kind: string;
  modulusLength?: number;
  publicExponent?: string;
}

function importPair(
  format: KeyFormat,
  data: ArrayBuffer | Jwk,
  algorithm: Algorithm,
  extractable: boolean,
  usages: Usage[],
): CryptoKey {
  const { name, namedCurve } = algorithm;
  if (format === "raw" && name.startsWith("RSA")) {
    throw domError(`Keys for ${name} cannot be imported as raw`, "NotSupportedError");
  }
  if (namedCurve !== undefined && !CURVES.includes(namedCurve)) {
    throw domError(`The curve ${namedCurve} is not supported`, "NotSupportedError");
  }
  const jwk = format === "jwk" ? (data as Jwk) : null;
  const isPrivate = format === "pkcs8" || (jwk !== null && jwk["d"] !== undefined);
  checkUsages(name, isPrivate ? "private" : "public", usages);
  const kind = name.startsWith("RSA") ? "rsa" : (namedCurve ?? name);
  if (jwk !== null) checkPairJwk(jwk, kind, algorithm, extractable, usages);
  const parameters = { format, kind, jwk: jwk ?? undefined };
  const bytes = jwk === null ? [data as ArrayBuffer] : [];
  const answer = callCryptoForAll("importKey", parameters, "DataError", ...bytes);
  const facts = JSON.parse(answer.text) as KeyFacts;
  if (facts.kind !== kind) throw dataError(`The key is for ${facts.kind}, not for ${kind}`);
  return makeKey({
    type: facts.type,
    extractable: facts.type === "public" || extractable ? Boolean(extractable) : false,
    algorithm: pairAlgorithm(algorithm, facts),
    usages,
    material: answer.bytes[0] as ArrayBuffer,
  });
}

function checkPairJwk(
  jwk: Jwk,
  kind: string,
  { name, hash }: Algorithm,
  extractable: boolean,
  usages: Usage[],
): void {
  const kty = kind === "rsa" ? "RSA" : OKP.includes(kind) ? "OKP" : "EC";
  if (jwk["kty"] !== kty) throw dataError(`"kty" of the JSON web key is not "${kty}"`);
  if (kty !== "RSA" && jwk["crv"] !== kind)
    throw dataError(`"crv" of the JSON web key is not ${kind}`);
  const algorithm: KeyAlgorithm = { name };
  if (hash !== undefined) algorithm.hash = { name: hash };
  checkJwk(jwk, algorithm, extractable, usages);
}

function pairAlgorithm({ name, hash, namedCurve }: Algorithm, facts: KeyFacts): KeyAlgorithm {
  if (namedCurve !== undefined) return { name, namedCurve };
  if (hash === undefined) return { name };
  const digits = (facts.publicExponent ?? "").match(/../g) ?? [];
  return {
    name,
    modulusLength: facts.modulusLength as number,
    publicExponent: Uint8Array.from(digits, (byte) => Number.parseInt(byte, 16)),
    hash: { name: hash },
  };
}

// --- Generation ---

export function generateKeys(
  algorithm: Algorithm,
  extractable: boolean,
  usages: Usage[],
): CryptoKey | { publicKey: CryptoKey; privateKey: CryptoKey } {
  return isSymmetric(algorithm.name)
    ? generateSecret(algorithm, extractable, usages)
    : generatePair(algorithm, extractable, usages);
}

function generateSecret(
  { name, hash, length }: Algorithm,
  extractable: boolean,
  usages: Usage[],
): CryptoKey {
  checkUsages(name, "secret", usages);
  const isHmac = name === "HMAC";
  if (isHmac ? length === 0 : ![128, 192, 256].includes(length as number)) {
    throw domError(`A key of ${length} bits is not possible`, "OperationError");
  }
  if (usages.length === 0) throw domError("A secret key needs a usage", "SyntaxError");
  const bits = length ?? (HASH_BLOCK_BITS[hash as string] as number);
  const material = callCrypto("random", { bytes: Math.ceil(bits / 8) });
  const keyAlgorithm: KeyAlgorithm = isHmac
    ? { name, hash: { name: hash as string }, length: bits }
    : { name, length: bits };
  return makeKey({ type: "secret", extractable, algorithm: keyAlgorithm, usages, material });
}

function generatePair(
  algorithm: Algorithm,
  extractable: boolean,
  usages: Usage[],
): { publicKey: CryptoKey; privateKey: CryptoKey } {
  const { name, namedCurve, modulusLength = 0, publicExponent } = algorithm;
  const isRsa = name.startsWith("RSA");
  checkPairUsages(name, usages);
  if (namedCurve !== undefined && !CURVES.includes(namedCurve)) {
    throw domError(`The curve ${namedCurve} is not supported`, "NotSupportedError");
  }
  if (isRsa && (modulusLength < 512 || modulusLength > MODULUS_BITS_MAX)) {
    const message = `A modulus has between 512 and ${MODULUS_BITS_MAX} bits, not ${modulusLength}`;
    throw domError(message, "OperationError");
  }
  const exponent = publicExponent?.reduce((sum, byte) => sum * 256 + byte, 0);
  const kind = isRsa ? "rsa" : (namedCurve ?? name);
  const parameters = { kind, modulusLength, exponent };
  const { text, bytes } = callCryptoForAll("generateKey", parameters, "OperationError");
  const shown = pairAlgorithm(algorithm, JSON.parse(text) as KeyFacts);
  const half = (type: "public" | "private", material: ArrayBuffer): CryptoKey =>
    makeKey({
      type,
      extractable: type === "public" || extractable,
      algorithm: shown,
      usages: usages.filter((usage) => halfHas(name, type, usage)),
      material,
    });
  const privateKey = half("private", bytes[0] as ArrayBuffer);
  if (privateKey.usages.length === 0)
    throw domError("The private key needs a usage", "SyntaxError");
  return { publicKey: half("public", bytes[1] as ArrayBuffer), privateKey };
}

function halfHas(name: string, type: KeyType, usage: Usage): boolean {
  return possibleUsages(name, type).includes(usage);
}

function checkPairUsages(name: string, usages: readonly Usage[]): void {
  for (const usage of usages) {
    if (!halfHas(name, "public", usage) && !halfHas(name, "private", usage)) {
      throw domError(`Keys for ${name} cannot be used to ${usage}`, "SyntaxError");
    }
  }
}

// --- Export ---

/** Raises NotSupportedError or InvalidAccessError for a format that such a key has not. */
export function exportKeyAs(format: KeyFormat, key: CryptoKey): ArrayBuffer | Jwk {
  const { type, material, algorithm, usages, extractable } = partsOf(key);
  if (type === "secret") {
    if (format === "raw") return material.slice(0);
    if (format !== "jwk") {
      throw domError(`A secret key cannot be exported as ${format}`, "NotSupportedError");
    }
    const alg = jwkAlgorithm(algorithm);
    return {
      kty: "oct",
      k: encodeBase64Url(material),
      alg,
      key_ops: [...usages],
      ext: extractable,
    };
  }
  const wanted: Record<string, KeyType> = { spki: "public", pkcs8: "private", raw: "public" };
  if (format === "raw" && algorithm.name.startsWith("RSA")) {
    throw domError("An RSA key cannot be exported as raw", "NotSupportedError");
  }
  if (format !== "jwk" && wanted[format] !== type) {
    throw domError(`A ${type} key cannot be exported as ${format}`, "InvalidAccessError");
  }
  const parameters = { format, type };
  const answer = callCryptoForAll("exportKey", parameters, "OperationError", material);
  if (format !== "jwk") return answer.bytes[0] as ArrayBuffer;
  const jwk = JSON.parse(answer.text) as Jwk;
  const alg = jwkAlgorithm(algorithm);
  if (alg !== undefined) jwk["alg"] = alg;
  return { ...jwk, key_ops: [...usages], ext: extractable };
}
